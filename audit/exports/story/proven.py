"""Whether the entries of a story lie under a signed root: looked at when it is printed, so that nothing is claimed on trust."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.entries import EntryView
from audit.errors import NoLog
from audit.exports import spans
from audit.exports.spans import Gap, Span
from audit.merkle import ProofRefused, leaf_hash
from audit.models import Checkpoint
from audit.notes import NoteRefused


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """An entry as it stands in the tree. hash: hexadecimal."""

    entry: EntryView
    hash: str


@dataclass(frozen=True, kw_only=True)
class Proven:
    """What was found. size: of the log, under a checkpoint. unsigned: entries that no checkpoint covers.

    is_good: whether all others lead to the signed root.
    """

    leaves: tuple[Leaf, ...]
    spans: tuple[Span, ...]
    size: int
    unsigned: frozenset[int]
    is_good: bool


def prove(entries: Sequence[EntryView], *, snapshot: int | None = None) -> Proven:
    """Check entries against the signed roots over them. snapshot: the log's signed size to go by; None: the newest."""
    leaves = tuple(Leaf(entry=each, hash=leaf_hash(each.canon).hex()) for each in entries)
    indexes, size, is_good = [each.index for each in entries], 0, True
    over: tuple[Span, ...] = ()
    gaps: Sequence[Gap] = [Gap(indexes[0], indexes[-1] + 1)]
    try:
        size = spans.signed_size() if snapshot is None else snapshot
        found, gaps = spans.over(indexes[0], indexes[-1] + 1, snapshot=size)
        over = tuple(found)
        for span in over:
            within = [
                (each.entry.index, bytes.fromhex(each.hash)) for each in leaves if _lies(each.entry.index, [span])
            ]
            spans.check(within, span.proof(index for index, _ in within), span)
    except NoLog:
        pass  # nothing was ever signed: all of it is unsigned
    except (LookupError, ProofRefused, NoteRefused):
        is_good = False
    unsigned = frozenset(index for index in indexes if _lies(index, gaps))
    return Proven(leaves=leaves, spans=over, size=size, unsigned=unsigned, is_good=is_good)


def signed_at(span: Span) -> datetime | None:
    """Return when a span's checkpoint was signed, as the console noted it."""
    rows = Checkpoint.objects.filter(generation=span.generation, size=span.size)
    return rows.values_list("signed_at", flat=True).first()


def _lies(index: int, stretches: Collection[Span | Gap]) -> bool:
    return any(each.first <= index < each.end for each in stretches)
