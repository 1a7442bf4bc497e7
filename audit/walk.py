"""The walk through one generation of the log: entries into leaves, leaves into tiles, tiles into roots, roots to signatures.

No objects a row: SQL, hashing and comparing. It can be put down at a tile's edge and taken up again, by another process
too: what must be remembered are the hashes on the right edge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

from audit import columns, losses, merkle, notes, tiles
from audit.columns import CANON, Row
from audit.keeping import state
from audit.merkle import HASH_BYTES
from audit.models import Checkpoint, Head, Log, Tile
from audit.verdict import Bad, bad_entry

ROWS_IN_MEMORY = 16 * tiles.WIDTH
PAGE = columns.ROWS_AT_ONCE

Progress = Callable[[int], None]


class _Differs(Exception):
    """The entries of a tile don't hash to it. computed, stored: hashes, one behind the other."""

    def __init__(self, tile: int, computed: bytes, stored: bytes) -> None:
        self.tile, self.computed, self.stored = tile, computed, stored
        super().__init__(tile)


class Walk:
    """One check of one generation. following: the next generation, where there is one. memory: where to go on."""

    def __init__(
        self, log: Log, following: Log | None, *, memory: str = "", progress: Progress = lambda done: None
    ) -> None:
        self.log, self.following, self._progress = log, following, progress
        self._key = notes.parse_vkey(log.vkey)
        self._agreement = columns.Agreement()
        self.size = self.checkpoints = self.last_signed = 0
        self._frontier: list[bytes] = []  # of whole level-0 tiles
        self._parents: dict[int, bytearray] = {}  # level -> hashes of its unfinished tile
        self._rest = b""  # leaf hashes of the unfinished level-0 tile
        self._finished: list[tuple[int, int, bytes]] = []  # tiles of upper levels to be compared
        if memory:
            self._take_up(json.loads(memory))
        self.began_at = self.size
        # In this order: what is signed is within the head that is read after it, however fast the log grows.
        newest = Checkpoint.objects.filter(generation=log.generation).order_by("-size").first()
        self._last_row = newest.size if newest else -1
        self._head = Head.objects.filter(generation=log.generation).first()
        self._lost = None if self._head else losses.of(log, following)
        ended = self._lost.first if self._lost else following.base if following else log.base
        end = log.base + self._head.size if self._head else ended
        self.end = end - log.base
        self._minimum = max(0, min(state.minimum() - log.base, self.end))

    def memory(self) -> str:
        """Return what is needed to go on from here, as JSON: sizes and hashes."""
        parents = {str(level): held.hex() for level, held in self._parents.items()}
        whole = self.size - self.size % tiles.WIDTH
        frontier = [hashed.hex() for hashed in self._frontier]
        return json.dumps({"size": whole, "frontier": frontier, "parents": parents, "signed": self.last_signed})

    def root(self) -> bytes:
        """Return the root over everything that was walked."""
        return merkle.root_of_frontier(self._frontier + _grown(self._rest))

    def step(self) -> bool:
        """Check one page of entries, at most to the next edge of a level-1 tile; return whether more is left. Raises Bad."""
        start = self.size
        end = min(start - start % PAGE + PAGE, self.end)
        if start >= end:
            return False
        stored = self._stored(start, end)
        signed = self._signed(start, end)
        due = next(signed, None)
        due = self._gone_part(start, end, stored, signed, due)
        rows = columns.rows(self.log.base + self.size, self.log.base + end)
        try:
            while part := list(islice(rows, ROWS_IN_MEMORY)):
                due = self._part(part, stored, signed, due)
        except _Differs as difference:
            _drain(rows)
            self._locate(difference)
        except Bad:
            _drain(rows)
            raise
        if self.size < end:
            raise bad_entry(self.log.base + self.size, "is missing: entries are gone")
        for level, index, computed in self._finished:
            self._upper(level, index, computed)
        self._finished.clear()
        return self.size < self.end

    def finish(self) -> None:
        """Check what only the end can tell: the unfinished tiles, the head, that nothing signed is gone. Raises Bad."""
        for level, held in self._parents.items():
            if held:
                self._upper(level, self._done(level), bytes(held))
        beyond = Checkpoint.objects.filter(generation=self.log.generation, size__gt=self.size, size__lte=self._last_row)
        if row := beyond.order_by("size").first():
            raise self._gone(row.size)
        head = self._head
        if head and (bytes(head.root) != self.root() or bytes(head.frontier) != self._edge()):
            raise Bad("the head does not hold what its entries hash to", where="head")

    def gone(self, size: int) -> None:
        """Raise Bad if a published size is more than there is, and than what is acknowledged as lost.

        What was published before now is within the head now, however far the walk went.
        """
        if size > max(self.size, self._lost.end - self.log.base if self._lost else 0) and size > self.by_now():
            raise self._gone(size)

    def by_now(self) -> int:
        """Return how many entries there are now: the log may have grown since the walk began."""
        head = Head.objects.filter(generation=self.log.generation).first()
        return head.size if head else 0

    def _gone(self, size: int) -> Bad:
        return bad_entry(self.log.base + self.size, f"is missing: checkpoint {size} covers entries that are gone")

    def _edge(self) -> bytes:
        """Return the complete subtrees of all leaves, largest first."""
        edge = list(self._frontier)
        within = _grown(self._rest)
        return b"".join(edge + within)

    def _take_up(self, said: dict[str, Any]) -> None:
        self.size, self.last_signed = int(said["size"]), int(said["signed"])
        self._frontier = [bytes.fromhex(each) for each in said["frontier"]]
        self._parents = {int(level): bytearray.fromhex(held) for level, held in said["parents"].items()}

    def _stored(self, start: int, end: int) -> dict[int, bytes]:
        first, last = start // tiles.WIDTH, (end - 1) // tiles.WIDTH
        found = Tile.objects.filter(generation=self.log.generation, level=0, index__gte=first, index__lte=last)
        return {index: bytes(data) for index, data in found.values_list("index", "data")}

    def _signed(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Return the sizes and roots that were signed in a page, each signature verified."""
        rows = Checkpoint.objects.filter(generation=self.log.generation, size__gt=start, size__lte=end)
        if not start:
            rows = Checkpoint.objects.filter(generation=self.log.generation, size__lte=end)
        return iter([self._open(row) for row in rows.order_by("size").iterator()])

    def _open(self, row: Checkpoint) -> tuple[int, bytes]:
        where = f"checkpoint/g{self.log.generation}/{row.size}"
        self.checkpoints += 1
        try:
            head = notes.open_checkpoint(row.note, [self._key], origin=self.log.origin)
        except notes.NoteRefused as error:
            raise Bad(f"checkpoint {row.size} of {self.log.origin}: {error}", where=where) from error
        if (head.size, head.root) != (row.size, bytes(row.root)):
            raise Bad(f"checkpoint {row.size} of {self.log.origin} is stored beside another note", where=where)
        return head.size, head.root

    def _part(
        self,
        part: Sequence[Row],
        stored: dict[int, bytes],
        signed: Iterator[tuple[int, bytes]],
        due: tuple[int, bytes] | None,
    ) -> tuple[int, bytes] | None:
        """Check some rows; return the signed root that is due next."""
        self._in_order(part)
        hashed = b"".join([sha256(b"\x00" + row[CANON]).digest() for row in part])
        due = self._leaves(hashed, stored, signed, due)
        if wrong := self._agreement.first_wrong(part):
            name = columns.wrong_column(wrong)
            raise bad_entry(wrong[0], f"has a column that says something else than its bytes: {name}", column=name)
        self.size += len(part)
        self._progress(self.log.base + self.size)
        return due

    def _leaves(
        self,
        hashed: bytes,
        stored: dict[int, bytes],
        signed: Iterator[tuple[int, bytes]],
        due: tuple[int, bytes] | None,
    ) -> tuple[int, bytes] | None:
        """Check leaf hashes that begin where the walk stands; return the signed root that is due next."""
        hashed = self._rest + hashed
        self._rest = b""
        size = self.size - self.size % tiles.WIDTH
        for at in range(0, len(hashed), tiles.FULL_BYTES):
            leaves, tile = hashed[at : at + tiles.FULL_BYTES], (size + at // HASH_BYTES) // tiles.WIDTH
            held = stored.get(tile, b"")
            # The right edge may have grown since the check began, and may be walked in two steps.
            if held != leaves and not (len(leaves) < tiles.FULL_BYTES and held.startswith(leaves)):
                raise _Differs(tile, leaves, held)
            due = self._roots(tile * tiles.WIDTH, leaves, signed, due)
            if len(leaves) == tiles.FULL_BYTES:
                self._lift(tiles.subtree(leaves), tile)
            else:
                self._rest = leaves
        return due

    def _gone_part(
        self,
        start: int,
        end: int,
        stored: dict[int, bytes],
        signed: Iterator[tuple[int, bytes]],
        due: tuple[int, bytes] | None,
    ) -> tuple[int, bytes] | None:
        """Take the leaves of entries that went by retention from their tiles: signed roots tell whether those are right."""
        end = min(end, self._minimum)
        # Entries that are gone can't name what was changed; the tile above still tells in which tile it was.
        parent = tile_of(self.log, 1, start // PAGE) if start < end else b""
        while self.size < end:
            tile, at = divmod(self.size, tiles.WIDTH)
            count = min(end, (tile + 1) * tiles.WIDTH) - self.size
            held = stored.get(tile, b"")[at * HASH_BYTES : (at + count) * HASH_BYTES]
            if len(held) < count * HASH_BYTES:
                raise bad_tile(
                    self.log, 0, tile, at + len(held) // HASH_BYTES, "is missing: its entry went by retention"
                )
            if count == tiles.WIDTH and not parent.startswith(tiles.subtree(held), tile % tiles.WIDTH * HASH_BYTES):
                raise bad_tile(
                    self.log, 0, tile, 0, "or another of it was changed: it is not what the tile above holds"
                )
            due = self._leaves(held, stored, signed, due)
            self.size += count
            self._progress(self.log.base + self.size)
        return due

    def _in_order(self, part: Sequence[Row]) -> None:
        first = self.log.base + self.size
        if [row[0] for row in part] == list(range(first, first + len(part))):
            return
        at = next(at for at, row in enumerate(part) if row[0] != first + at)
        if part[at][0] < first + at:
            raise bad_entry(part[at][0], "is there twice")
        raise bad_entry(first + at, "is missing")

    def _roots(
        self, base: int, leaves: bytes, signed: Iterator[tuple[int, bytes]], due: tuple[int, bytes] | None
    ) -> tuple[int, bytes] | None:
        within: list[bytes] = []
        count = 0
        while due and due[0] <= base + len(leaves) // HASH_BYTES:
            size, root = due
            if size < base:  # cannot be: the page begins where the last one ended
                raise Bad(f"checkpoint {size} is out of order", where=f"checkpoint/g{self.log.generation}/{size}")
            while count < size - base:
                merkle.grow(within, count, leaves[count * HASH_BYTES : (count + 1) * HASH_BYTES])
                count += 1
            if merkle.root_of_frontier(self._frontier + within) != root:
                where = f"checkpoint/g{self.log.generation}/{size}"
                raise Bad(f"the entries do not lead to the signed root of checkpoint {size}", where=where)
            self.last_signed = max(self.last_signed, size)
            due = next(signed, None)
        return due

    def _lift(self, hashed: bytes, tile: int) -> None:
        merkle.grow(self._frontier, tile, hashed)
        level, done = 1, tile + 1
        while True:
            held = self._parents.setdefault(level, bytearray())
            held += hashed
            if len(held) < tiles.FULL_BYTES:
                return
            done //= tiles.WIDTH
            self._finished.append((level, done - 1, bytes(held)))
            hashed = tiles.subtree(bytes(held))
            held.clear()
            level += 1

    def _done(self, level: int) -> int:
        return self.size >> (tiles.HEIGHT * (level + 1))

    def _upper(self, level: int, index: int, computed: bytes) -> None:
        stored = tile_of(self.log, level, index)
        if stored == computed or (len(computed) < tiles.FULL_BYTES and stored.startswith(computed)):
            return
        at = first_difference(computed, stored)
        raise bad_tile(self.log, level, index, at, "does not hold what its entries hash to")

    def _locate(self, difference: _Differs) -> None:
        """Name what was changed, the entry or its tile: the tile above was written when both were. Raises Bad."""
        at = first_difference(difference.computed, difference.stored)
        index = self.log.base + difference.tile * tiles.WIDTH + at
        above, place = divmod(difference.tile, tiles.WIDTH)
        parent = tile_of(self.log, 1, above)[place * HASH_BYTES : (place + 1) * HASH_BYTES]
        is_whole = len(difference.computed) == tiles.FULL_BYTES
        if is_whole and tiles.subtree(difference.computed) == parent:
            raise bad_tile(
                self.log, 0, difference.tile, at, f"was changed; entry {index} is as it was written", entry=index
            )
        name = f"tile 0/{tiles.number_path(difference.tile)}"
        raise bad_entry(index, f"does not match {name}: it was changed, added or removed")


def bad_tile(log: Log, level: int, index: int, at: int, what: str, *, entry: int | None = None) -> Bad:
    """Return the trouble with one hash of a tile."""
    path = tiles.number_path(index)
    where = f"tile/g{log.generation}/{level}/{path}/{at}"
    return Bad(f"tile {level}/{path}, hash {at}, {what}", where=where, index=entry)


def tile_of(log: Log, level: int, index: int) -> bytes:
    """Return a stored tile; empty if it is not there."""
    row = Tile.objects.filter(generation=log.generation, level=level, index=index).values_list("data").first()
    return bytes(row[0]) if row else b""


def first_difference(one: bytes, other: bytes) -> int:
    """Return which hash differs first, of hashes that stand one behind the other."""
    last = max(len(one), len(other))
    return next(at for at in range(0, last + 1, HASH_BYTES) if one[at : at + 32] != other[at : at + 32]) // HASH_BYTES


def _grown(leaves: bytes) -> list[bytes]:
    within: list[bytes] = []
    for at in range(0, len(leaves), HASH_BYTES):
        merkle.grow(within, at // HASH_BYTES, leaves[at : at + HASH_BYTES])
    return within


def _drain(rows: Iterator[Row]) -> None:
    """Read what is on its way, so that the connection can be asked something else; ended, it would end a transaction."""
    for _ in rows:
        pass
