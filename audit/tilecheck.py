"""The tile check: all levels of the tree built again from the hashes of level 0, and compared with what is stored and signed.

It reads 32 bytes an entry instead of the entries, so it takes seconds where a whole check takes a minute. What it finds is
looked at in the entries, to tell whether the lower tile or the upper one was changed.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future
from hashlib import sha256

from audit import columns, merkle, notes, tiles
from audit.columns import CANON
from audit.keeping import state
from audit.merkle import HASH_BYTES
from audit.models import Checkpoint, Log, Tile
from audit.subtrees import Hashers
from audit.verdict import Bad, Verdict, bad_entry
from audit.verify import Totals, generations
from audit.walk import Progress, bad_tile, first_difference, tile_of

CORES_MAX = 4
AHEAD = 4  # pieces of 2 MiB that wait for a hashing process
AT_ONCE = tiles.WIDTH
FEW = 4 * tiles.WIDTH * tiles.WIDTH  # below, starting processes costs more than it saves


def check_tiles(progress: Progress = lambda done: None, *, cores: int | None = None) -> Verdict:
    """Check the stored tree of every generation up to its newest checkpoint. progress: called with leaves done."""
    totals = Totals()

    def check() -> None:
        for log, _ in generations():
            _Tree(log, totals, progress, cores or min(CORES_MAX, os.cpu_count() or 1)).check()

    return totals.judge(check)


class _Tree:
    def __init__(self, log: Log, totals: Totals, progress: Progress, cores: int) -> None:
        self._log, self._totals, self._progress, self._cores = log, totals, progress, cores
        self._signed = self._newest()
        self._size = self._signed.size if self._signed else 0
        self._frontier: list[bytes] = []

    def check(self) -> None:
        if self._signed is None:
            return
        with Hashers(self._cores if self._size >= FEW else 1) as hashers:
            whole = self._whole_tiles(hashers)
        for level in range(1, tiles.LEVEL_MAX + 1):
            if not whole:
                break
            whole = self._level(level, whole)
        self._root()

    def _newest(self) -> notes.Checkpoint | None:
        row = Checkpoint.objects.filter(generation=self._log.generation).order_by("-size").first()
        if row is None:
            return None
        where = f"checkpoint/g{self._log.generation}/{row.size}"
        try:
            head = notes.open_checkpoint(row.note, [notes.parse_vkey(self._log.vkey)], origin=self._log.origin)
        except notes.NoteRefused as error:
            raise Bad(f"checkpoint {row.size} of {self._log.origin}: {error}", where=where) from error
        if (head.size, head.root) != (row.size, bytes(row.root)):
            raise Bad(f"checkpoint {row.size} of {self._log.origin} is stored beside another note", where=where)
        self._totals.checkpoints += 1
        return head

    def _whole_tiles(self, hashers: Hashers) -> bytes:
        """Return the roots of all whole tiles of level 0, compared with the level above as they come."""
        count, roots = self._size // tiles.WIDTH, bytearray()
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        for first in range(0, count, AT_ONCE):
            waiting.append((first, hashers.roots(self._read(first, min(first + AT_ONCE, count)))))
            while len(waiting) > AHEAD:
                roots += self._compared(*waiting.popleft())
        while waiting:
            roots += self._compared(*waiting.popleft())
        return bytes(roots)

    def _read(self, first: int, end: int) -> bytes:
        found = Tile.objects.filter(generation=self._log.generation, level=0, index__gte=first, index__lt=end)
        rows = list(found.order_by("index").values_list("index", "data"))
        for at, (index, data) in enumerate(rows, first):
            if index != at or len(data) != tiles.FULL_BYTES:
                self._short(at)
        if len(rows) != end - first:
            self._short(first + len(rows))
        return b"".join([data for _, data in rows])

    def _short(self, tile: int) -> None:
        held = tile_of(self._log, 0, tile)
        raise bad_tile(self._log, 0, tile, len(held) // HASH_BYTES, "is missing")

    def _compared(self, first: int, hashed: Future[bytes]) -> bytes:
        roots = hashed.result()
        stored = tile_of(self._log, 1, first // tiles.WIDTH)
        if not stored.startswith(roots):
            self._locate(first + first_difference(roots, stored[: len(roots)]))
        self._totals.entries = self._log.base + first * tiles.WIDTH + len(roots) // HASH_BYTES * tiles.WIDTH
        self._progress(self._totals.entries)
        return roots

    def _locate(self, tile: int) -> None:
        """Name what was changed: a hash of this tile, if an entry hashes to something else, or the one above. Raises Bad."""
        base, stored = self._log.base + tile * tiles.WIDTH, tile_of(self._log, 0, tile)
        computed, gone = self._computed(tile, stored)
        if computed == stored and gone:
            raise self._untold(tile, gone)
        if computed == stored:
            above, place = divmod(tile, tiles.WIDTH)
            raise bad_tile(self._log, 1, above, place, "does not hold what the tile below hashes to")
        at = first_difference(computed, stored)
        if len(computed) == len(stored) and tiles.subtree(computed) == self._above(tile):
            raise bad_tile(
                self._log, 0, tile, at, f"was changed; entry {base + at} is as it was written", entry=base + at
            )
        raise bad_entry(base + at, f"does not match tile 0/{tiles.number_path(tile)}: it was changed, added or removed")

    def _computed(self, tile: int, stored: bytes) -> tuple[bytes, int]:
        """Return what the entries of a tile hash to, and how many of them went by retention: their hashes are as stored."""
        base = self._log.base + tile * tiles.WIDTH
        end = base + len(stored) // HASH_BYTES
        gone = max(0, min(state.minimum(), end) - base)
        rows = columns.rows(base + gone, end)
        kept = [sha256(b"\x00" + row[CANON]).digest() for row in rows]
        return stored[: gone * HASH_BYTES] + b"".join(kept), gone

    def _untold(self, tile: int, gone: int) -> Bad:
        """Return the trouble with a hash that can't be told: the entries that would tell it went by retention."""
        return bad_tile(
            self._log, 0, tile, 0, f"or another of its first {gone}, or the tile above it, was changed: which one can't be told,"
            " since their entries went by retention",
        )  # fmt: skip

    def _above(self, tile: int) -> bytes:
        above, place = divmod(tile, tiles.WIDTH)
        return tile_of(self._log, 1, above)[place * HASH_BYTES : (place + 1) * HASH_BYTES]

    def _level(self, level: int, hashes: bytes) -> bytes:
        """Compare a level with what the one below hashes to; return the roots of its whole tiles. Raises Bad."""
        roots = bytearray()
        for index, at in enumerate(range(0, len(hashes), tiles.FULL_BYTES)):
            computed, stored = hashes[at : at + tiles.FULL_BYTES], tile_of(self._log, level, index)
            if not stored.startswith(computed):
                place = first_difference(computed, stored[: len(computed)])
                raise bad_tile(self._log, level, index, place, "does not hold what the tile below hashes to")
            if len(computed) == tiles.FULL_BYTES:
                roots += tiles.subtree(computed)
        if level == 1:
            for at in range(0, len(hashes), HASH_BYTES):
                merkle.grow(self._frontier, at // HASH_BYTES, hashes[at : at + HASH_BYTES])
        return bytes(roots)

    def _root(self) -> None:
        """Compare the root of it all with the signed one. Raises Bad."""
        assert self._signed is not None
        index, width = divmod(self._size, tiles.WIDTH)
        rest = tile_of(self._log, 0, index)[: width * HASH_BYTES]
        if len(rest) != width * HASH_BYTES:
            self._short(index)
        within: list[bytes] = []
        for at in range(width):
            merkle.grow(within, at, rest[at * HASH_BYTES : (at + 1) * HASH_BYTES])
        if merkle.root_of_frontier(self._frontier + within) != self._signed.root:
            self._edge(index, rest)
        self._totals.entries = self._log.base + self._size

    def _edge(self, tile: int, rest: bytes) -> None:
        """The signed root is another: name the hash of the unfinished tile that its entries don't lead to. Raises Bad."""
        assert self._signed is not None
        base = self._log.base + tile * tiles.WIDTH
        computed, gone = self._computed(tile, rest)
        if computed == rest and gone:
            raise self._untold(tile, gone)
        if computed != rest:
            at = first_difference(computed, rest)
            raise bad_tile(self._log, 0, tile, at, "is not what its entry hashes to", entry=base + at)
        where = f"checkpoint/g{self._log.generation}/{self._size}"
        raise Bad(f"the tiles do not lead to the signed root of checkpoint {self._size}", where=where)
