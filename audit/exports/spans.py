"""Which stretch of an export lies under which checkpoint: one span for each generation of the log, and the gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from audit import losses, merkle, notes, tiles, tree
from audit.errors import NoLog
from audit.exports import proofs
from audit.models import Checkpoint, Log
from audit.proving import Signed, checkpoint_over

TILES_KEPT = 64  # a proof walks from left to right: few are needed again


@dataclass(frozen=True)
class Span:
    """Entries [first, end), all in one generation and under one checkpoint. note: the signed checkpoint."""

    generation: int
    origin: str
    vkey: str
    base: int
    first: int
    end: int
    size: int
    note: str

    @property
    def checkpoint(self) -> str:
        """The checkpoint's file in the bundle."""
        return f"checkpoint-g{self.generation}.txt"

    @property
    def root(self) -> str:
        """The root that the checkpoint signs, base64."""
        return self.note.split("\n")[2]

    def proof(self, indexes: Iterable[int]) -> Iterator[bytes]:
        """Yield the proof of entries by their global index. Raises: ProofRefused, LookupError."""
        get = lru_cache(maxsize=TILES_KEPT)(tree.tile_getter(self.generation))
        local = (index - self.base for index in indexes)
        return proofs.make(local, self.size, tiles.reader_of(get))


@dataclass(frozen=True)
class Gap:
    """Entries [first, end) that no checkpoint covers: the end of a generation that was restored away.

    reason: ``unsigned``, or ``lost`` where they were published and a restored database did not have them.
    """

    first: int
    end: int
    reason: str = "unsigned"


def signed_size() -> int:
    """Return how many entries, counted over all generations, lie under a checkpoint. Raises: NoLog."""
    covered = [base + size for _, base, size, _ in _generations()]
    if not covered:
        raise NoLog("no checkpoint was signed yet")
    return max(covered)


def over(first: int, end: int, *, snapshot: int) -> tuple[list[Span], list[Gap]]:
    """Return what covers [first, end) below the snapshot, in order, and what nothing covers."""
    spans: list[Span] = []
    gaps: list[Gap] = []
    at = first
    for log, base, size, note in _generations():
        start, stop = max(first, base), min(end, base + size, snapshot)
        if start >= stop:
            continue
        if start > at:
            gaps.append(Gap(at, start))
        signed = checkpoint_over(log, stop - 1 - base) or Signed(size, note)  # cosigned ones are a second older
        spans.append(Span(log.generation, log.origin, log.vkey, base, start, stop, signed.size, signed.note))
        at = stop
    if at < end:
        gaps.append(Gap(at, end))
    return spans, list(_told_apart(gaps))


def _told_apart(gaps: Iterable[Gap]) -> Iterator[Gap]:
    """Yield the gaps, cut where what is lost begins and ends."""
    lost = losses.every()
    for gap in gaps:
        edges = {edge for each in lost for edge in (each.first, each.end) if gap.first < edge < gap.end}
        for first, end in pairwise(sorted({gap.first, gap.end, *edges})):
            is_lost = any(each.first <= first < each.end for each in lost)
            yield Gap(first, end, "lost" if is_lost else gap.reason)


def _generations() -> list[tuple[Log, int, int, str]]:
    """Return each generation with a checkpoint: its base, and the newest checkpoint's size and note, verified."""
    found = []
    for log in Log.objects.order_by("generation"):
        row = Checkpoint.objects.filter(generation=log.generation).order_by("-size").first()
        if row is None:
            continue
        head = notes.open_checkpoint(row.note, [notes.parse_vkey(log.vkey)], origin=log.origin)
        found.append((log, log.base, head.size, row.note))
    return found


def check(leaves: Iterable[tuple[int, bytes]], hashes: Iterable[bytes], span: Span) -> None:
    """Check a proof that was just made against the signed root, so that no bundle leaves that would not verify.

    leaves: global indexes. Raises: ProofRefused.
    """
    head = notes.open_checkpoint(span.note, [notes.parse_vkey(span.vkey)], origin=span.origin)
    local = ((index - span.base, leaf) for index, leaf in leaves)
    if proofs.root_from(local, span.size, hashes) != head.root:
        raise merkle.ProofRefused("the entries do not lead to the signed root")
