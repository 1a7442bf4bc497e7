"""Check the whole log from its bytes: every entry to its leaf, tile, root and signature, every column to its bytes.

No objects a row: SQL, hashing and comparing. The first thing that is wrong is named and ends the check.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from audit import columns, copies, merkle, notes, tiles
from audit.models import Checkpoint, Entry, Head, Log, Tile


@dataclass(frozen=True)
class Verdict:
    """What a check found. bad: what is wrong first, or empty. index: the entry it is about, where it is about one.

    unsigned: entries that no checkpoint covers yet; nothing is claimed about them but their place.
    """

    entries: int
    checkpoints: int
    unsigned: int
    bad: str = ""
    index: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether everything that was checked holds."""
        return not self.bad


class _Bad(Exception):
    def __init__(self, what: str, index: int | None = None) -> None:
        self.what, self.index = what, index
        super().__init__(what)


def verify_log(progress: Callable[[int], None] = lambda done: None) -> Verdict:
    """Check every generation of the log, and the copies of its checkpoints. progress: called with entries done."""
    totals = _Totals(progress)
    try:
        logs = list(Log.objects.order_by("generation"))
        for log, following in itertools.zip_longest(logs, logs[1:]):
            _Generation(log, following, totals).check()
        _nothing_outside(logs)
    except _Bad as bad:
        return Verdict(totals.entries, totals.checkpoints, totals.unsigned, bad.what, bad.index)
    return Verdict(totals.entries, totals.checkpoints, totals.unsigned)


@dataclass
class _Totals:
    progress: Callable[[int], None]
    entries: int = 0
    checkpoints: int = 0
    unsigned: int = 0


class _Generation:
    """The check of one origin: leaves into tiles, tiles into their parents, roots against signatures."""

    def __init__(self, log: Log, following: Log | None, totals: _Totals) -> None:
        self.log, self.totals = log, totals
        self.key = notes.parse_vkey(log.vkey)
        self.following = following
        self.frontier: list[bytes] = []  # of whole level-0 tiles
        self.tiles_done = 0
        self.size = 0
        self.agreement = columns.Agreement()
        self.parents: dict[int, bytearray] = {}  # level -> hashes of its unfinished tile
        self.parents_done: dict[int, int] = {}
        # In this order: what is signed is within the head that is read after it, however fast the log grows.
        self.signed = self._signed()
        head = Head.objects.filter(generation=log.generation).first()
        self.end = log.base + head.size if head else following.base if following else log.base

    def check(self) -> None:
        due = next(self.signed, None)
        for leaves in self._leaves():
            due = self._roots(leaves, due)
            self._tile(0, self.tiles_done, b"".join(leaves))
            self.size += len(leaves)
            if len(leaves) == tiles.WIDTH:
                self._lift(tiles.subtree(b"".join(leaves)))
        if due:
            raise _Bad(f"checkpoint {due[0]} covers entries that are gone", self.log.base + self.size)
        if not self.following and self.log.base + self.size != self.end:
            raise _Bad(f"entry {self.log.base + self.size} is missing", self.log.base + self.size)
        for level, held in self.parents.items():
            if held:
                self._tile(level, self.parents_done.get(level, 0), bytes(held))
        self.totals.unsigned += self.size - self.last_signed
        self._nothing_behind()

    def _signed(self) -> Iterator[tuple[int, bytes]]:
        rows = Checkpoint.objects.filter(generation=self.log.generation).order_by("size")
        signed = [self._open(row) for row in rows.iterator()]
        self.totals.checkpoints += len(signed)
        try:
            kept = copies.latest(key=self.key)
        except notes.NoteRefused as error:
            raise _Bad(str(error)) from error
        if kept:
            signed.append((kept[0].size, kept[0].root))
        self.last_signed = max((size for size, _ in signed), default=0)
        return iter(sorted(signed))

    def _open(self, row: Checkpoint) -> tuple[int, bytes]:
        try:
            head = notes.open_checkpoint(row.note, [self.key], origin=self.log.origin)
        except notes.NoteRefused as error:
            raise _Bad(f"checkpoint {row.size} of {self.log.origin}: {error}") from error
        if (head.size, head.root) != (row.size, bytes(row.root)):
            raise _Bad(f"checkpoint {row.size} of {self.log.origin} is stored beside another note")
        return head.size, head.root

    def _leaves(self) -> Iterator[list[bytes]]:
        """Yield the leaf hashes of one tile after the other, each entry compared with its columns."""
        index = self.log.base
        for rows in columns.tiles(self.log.base, self.end):
            for at, row in enumerate(rows, index):
                if row[0] != at:
                    raise _Bad(f"entry {at} is missing", at)
            if wrong := self.agreement.first_wrong(rows):
                raise _Bad(f"entry {wrong[0]}: a column says something else than the bytes", wrong[0])
            index += len(rows)
            self.totals.entries = index
            if len(rows) == tiles.WIDTH:
                self.totals.progress(index)
            yield [merkle.leaf_hash(row[1]) for row in rows]
        self.totals.entries = index

    def _roots(self, leaves: list[bytes], due: tuple[int, bytes] | None) -> tuple[int, bytes] | None:
        while due and due[0] <= self.size + len(leaves):
            within: list[bytes] = []
            for at, leaf in enumerate(leaves[: due[0] - self.size]):
                merkle.grow(within, at, leaf)
            if merkle.root_of_frontier(self.frontier + within) != due[1]:
                # The tile, written when the entries were, tells which of them was changed.
                self._tile(0, self.tiles_done, b"".join(leaves))
                raise _Bad(f"the entries do not lead to the signed root of checkpoint {due[0]}")
            due = next(self.signed, None)
        return due

    def _tile(self, level: int, index: int, computed: bytes) -> None:
        row = Tile.objects.filter(generation=self.log.generation, level=level, index=index).values_list("data").first()
        stored = bytes(row[0]) if row else b""
        if stored == computed or (len(computed) < tiles.FULL_BYTES and stored.startswith(computed)):
            return  # the right edge may have grown since the check began
        at = next(i for i in range(0, 8193, 32) if stored[i : i + 32] != computed[i : i + 32]) // merkle.HASH_BYTES
        place = f"tile {level}/{tiles.number_path(index)}"
        if level:
            raise _Bad(f"{place} does not hold what its entries hash to")
        entry = self.log.base + index * tiles.WIDTH + at
        raise _Bad(f"entry {entry} does not match {place}: it was changed, added or removed", entry)

    def _lift(self, hashed: bytes) -> None:
        merkle.grow(self.frontier, self.tiles_done, hashed)
        self.tiles_done += 1
        level = 1
        while True:
            held = self.parents.setdefault(level, bytearray())
            held += hashed
            if len(held) < tiles.FULL_BYTES:
                return
            done = self.parents_done.get(level, 0)
            self._tile(level, done, bytes(held))
            hashed, self.parents_done[level] = tiles.subtree(bytes(held)), done + 1
            held.clear()
            level += 1

    def _nothing_behind(self) -> None:
        if self.following:
            return
        last = Entry.objects.order_by("-index").values_list("index", flat=True).first() or 0
        head = Head.objects.get(pk=1)
        if head.generation == self.log.generation and last >= head.base + head.size:
            raise _Bad(f"entry {last} stands behind the head", last)


def _nothing_outside(logs: list[Log]) -> None:
    first = Entry.objects.order_by("index").values_list("index", flat=True).first()
    if first is not None and (not logs or first < logs[0].base):
        raise _Bad(f"entry {first} belongs to no log", first)
