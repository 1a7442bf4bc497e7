"""Thinning: of the checkpoints that were signed up to four times a second, one an hour stays once they are a week old.

No proof is lost by it. An entry is proven under any later checkpoint, a proof that somebody took carries its checkpoint
with it, and the tree tells that every newer checkpoint continues that one. Kept are:

- the last checkpoint of each hour (UTC), which the database itself holds to;
- of those that witnesses cosigned, the last with so many of them, and the last that the policy's quorum takes;
- the last that each witness cosigned, which is where it goes on from;
- each with a time stamp.

Cosignatures go with their checkpoints. The published copies are not touched: they are the affair of their folder or bucket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db import transaction
from django.db.models import Max, Q

from audit import tree, trust
from audit.keeping import state
from audit.keeping.models import Keeping
from audit.models import Checkpoint, Cosignature, Timestamp
from audit.policy import NONE, Policy
from audit.write import NOBODY, Event, record

WHOLE_FOR = timedelta(days=7)  # then a day is thinned at once, so that this is said once a day
ROWS_AT_ONCE = 10_000  # that are looked at in one transaction: writers on SQLite wait for half a second
SLICES_AT_ONCE = 100  # of one sweep
SIZES_AT_ONCE = 500  # SQLite takes a thousand parameters


@dataclass(frozen=True, kw_only=True)
class CheckpointsThinned(Event, type="audit.checkpoints.thinned", title="Old checkpoints thinned", tone="info"):
    """Of the checkpoints of a generation over sizes (first, last], so many went, with so many cosignatures."""

    generation: int
    first: int
    last: int
    checkpoints: int
    cosignatures: int


@dataclass(frozen=True)
class _Row:
    size: int
    hour: datetime


def thin() -> int:
    """Let needless checkpoints go, some at a time; return how many. A crash in between leaves the rest to the next call."""
    if not Checkpoint.objects.exists():
        return 0
    before, policy = datetime.combine(tree.moment() - WHOLE_FOR, time.min, UTC), trust.configured()
    count, is_more, slices = 0, True, 0
    while is_more and slices < SLICES_AT_ONCE:
        with transaction.atomic():
            gone, is_more = _slice(before, policy)
        count, slices = count + gone, slices + 1
    return count


def _slice(before: datetime, policy: Policy) -> tuple[int, bool]:
    """Thin what comes next and was signed before a moment; return how many went, and whether there may be more."""
    kept = state.locked()
    generation, size = kept.thinned_generation or 0, kept.thinned_size or 0
    beyond = Q(generation=generation, size__gt=size) | Q(generation__gt=generation)
    found = Checkpoint.objects.filter(beyond, signed_at__lt=before).order_by("generation", "size")
    rows = list(found.values_list("generation", "size", "signed_at")[:ROWS_AT_ONCE])
    if not rows:
        return 0, False
    current = rows[0][0]
    these = [_Row(size, _hour(at)) for each, size, at in rows if each == current]
    going = list(_needless(current, these, policy))
    last = these[-1].size
    event = CheckpointsThinned(
        generation=current,
        first=size if current == generation else 0,
        last=last,
        checkpoints=len(going),
        cosignatures=_delete(current, going),
    )
    Keeping.objects.filter(pk=1).update(thinned_generation=current, thinned_size=last)
    if going:
        record(event, by="system", facts=NOBODY)
    return len(going), len(rows) == ROWS_AT_ONCE or len(these) < len(rows)


def _needless(generation: int, rows: Sequence[_Row], policy: Policy) -> Iterator[int]:
    """Yield the sizes of the checkpoints that a later one of their hour stands for, the newest first."""
    first, last = rows[0].size, rows[-1].size
    cosigners = _cosigners(generation, first, last)
    kept = _stamped(generation, first, last) | _where_witnesses_stand(generation)
    following, most, has_quorum = _hour_after(generation, last), 0, False
    for row in reversed(rows):
        if row.hour != following:
            most, has_quorum = 0, False
        cosigned = cosigners[row.size]
        is_met = policy.quorum != NONE and policy.is_met(_names(policy, cosigned))
        is_best = len(cosigned) > most or (is_met and not has_quorum)
        if row.hour == following and row.size not in kept and not is_best:
            yield row.size
        following, most, has_quorum = row.hour, max(most, len(cosigned)), has_quorum or is_met


def _cosigners(generation: int, first: int, last: int) -> dict[int, set[str]]:
    """Return the ids of the keys that cosigned each size."""
    found: dict[int, set[str]] = defaultdict(set)
    rows = Cosignature.objects.filter(generation=generation, size__gte=first, size__lte=last)
    for size, key_id in rows.values_list("size", "key_id"):
        found[size].add(key_id)
    return found


def _names(policy: Policy, key_ids: set[str]) -> set[str]:
    return {witness.name for witness in policy.witnesses if witness.key.id.hex() in key_ids}


def _stamped(generation: int, first: int, last: int) -> set[int]:
    rows = Timestamp.objects.filter(generation=generation, size__gte=first, size__lte=last)
    return set(rows.values_list("size", flat=True))


def _where_witnesses_stand(generation: int) -> set[int]:
    rows = Cosignature.objects.filter(generation=generation).values("witness", "key_id").annotate(newest=Max("size"))
    return {row["newest"] for row in rows}


def _hour_after(generation: int, size: int) -> datetime | None:
    """Return the hour in which the next checkpoint was signed, whatever its age: the database looks at it too."""
    rows = Checkpoint.objects.filter(generation=generation, size__gt=size).order_by("size")
    at = rows.values_list("signed_at", flat=True).first()
    return _hour(at) if at else None


def _delete(generation: int, sizes: Sequence[int]) -> int:
    """Delete checkpoints, then their cosignatures, which the database holds on to before; return how many of these."""
    cosignatures = 0
    for at in range(0, len(sizes), SIZES_AT_ONCE):
        these = sizes[at : at + SIZES_AT_ONCE]
        Checkpoint.objects.filter(generation=generation, size__in=these).delete()
        cosignatures += Cosignature.objects.filter(generation=generation, size__in=these).delete()[0]
    return cosignatures


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
