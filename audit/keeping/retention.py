"""How long the log is kept. Whole months go, oldest first; their hashes stay, so that every newer proof stays good.

Nothing goes that is younger than the policy says, that a legal hold touches, or that is not under a signed checkpoint
(one with a quorum of cosignatures, where the policy of witnesses asks for them). One month a day at most: a clock that
jumps a year ahead costs a month and a look at the page, not the log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction

from audit import partitions, proving, tree, trust
from audit.checkpoints import current_log
from audit.keeping import holds, state
from audit.keeping.errors import RetentionRefused
from audit.keeping.events import RetentionApplied, RetentionChanged
from audit.keeping.models import Gone, Keeping, PersonalValue
from audit.models import Entry, PeriodCount, Rollup, Term
from audit.partitions import Month
from audit.search.terms import month_of
from audit.write import NOBODY, record

MONTHS_MIN = 6  # EU AI Act, Art. 19 (1) and 26 (6)
MONTHS_MAX = 240
SPACING = timedelta(hours=20)
LOCK_WAIT = "2s"
ROWS_AT_ONCE = 5_000  # that SQLite deletes in one transaction, so that writers wait for a moment only


@dataclass(frozen=True)
class Due:
    """A month that is older than the policy: entries [first, end). blocked: why it can't go, or empty.

    blocked: ``held``, ``unsigned`` or ``uncosigned``; holds: the references of those that touch it.
    """

    month: Month
    first: int
    end: int
    blocked: str = ""
    holds: tuple[str, ...] = ()


def change(months: int, *, by: str) -> None:
    """Keep the log for so many months from now on. The same number again writes no entry. Raises RetentionRefused.

    Who shortens it brings a second person's consent: this room knows nobody.
    """
    check(months)
    with transaction.atomic():
        kept = state.locked()
        if kept.months == months:
            return
        Keeping.objects.filter(pk=1).update(months=months)
        record(RetentionChanged(months_before=kept.months, months=months), by=by, facts=NOBODY)


def check(months: int) -> None:
    """Raise RetentionRefused for a number of months that the log can't be kept."""
    if not MONTHS_MIN <= months <= MONTHS_MAX:
        raise RetentionRefused(f"the log is kept for {MONTHS_MIN} to {MONTHS_MAX} months")


def next_due(now: datetime, *, months: int | None = None) -> Due | None:
    """Return the oldest month that is there and older than the policy, and what stands in its way.

    months: as if the policy said so, for a page that tells what a change would do.
    """
    kept = state.current()
    oldest = Entry.objects.filter(index__gte=kept.minimum).order_by("index").values_list("index", "recorded_at").first()
    if oldest is None:
        return None
    month = Month.of(oldest[1])
    ends_at = month.later(1).begins_at
    if month.later(1 + (months or kept.months)).begins_at > now:
        return None
    end = Entry.objects.filter(recorded_at__gte=ends_at).order_by("recorded_at", "index").values_list("index").first()
    if end is None:  # nothing is newer; an entry is needed that says so
        return None
    return _with_reason(Due(month, kept.minimum, end[0]))


def apply(now: datetime) -> Due | None:
    """Let the oldest month go, if it is due and nothing stands in its way; return it. Say so in the log.

    On PostgreSQL the month's table is dropped in the transaction that records it. On SQLite the rows follow, some at a
    time: what lies below the minimum is gone for every reader at once, and the next call removes what a crash left.
    """
    _remove_rows()
    try:
        with transaction.atomic():
            due = _apply(now)
    except OperationalError:  # somebody reads for long; the next sweep tries again
        if connection.vendor != "postgresql":
            raise
        return None
    _remove_rows()
    return due


def _apply(now: datetime) -> Due | None:
    # The head first, as whoever numbers entries takes it: no batch is half way into the table that goes.
    if tree.head_locked() is None:
        return None
    kept = state.locked()
    if kept.applied_at and now - kept.applied_at < SPACING:
        return None
    due = next_due(now)
    if due is None or due.blocked:
        return None
    _forget(due)
    Keeping.objects.filter(pk=1).update(minimum=due.end, applied_at=now)
    Gone.objects.create(month=_name(due.month), first=due.first, end=due.end, gone_at=now)
    event = RetentionApplied(month=_name(due.month), first=due.first, end=due.end, policy_months=kept.months)
    record(event, by="system", facts=NOBODY)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        partitions.drop(due.month)
    return due


def _with_reason(due: Due) -> Due:
    begins_at, ends_at = due.month.begins_at, due.month.later(1).begins_at
    if blocking := holds.on_entries(due.first, due.end, begins_at=begins_at, ends_at=ends_at):
        return replace(due, blocked="held", holds=tuple(hold.ref for hold in blocking))
    return replace(due, blocked=_unproven(due.end))


def _unproven(end: int) -> str:
    """Return why the entries could be missed: no signature covers their hashes yet, or too few cosignatures do."""
    log = current_log()
    if end <= log.base:  # of a generation that ended: nothing will ever be signed there any more
        return ""
    signed = proving.checkpoint_over(log, end - log.base - 1)
    if signed is None:
        return "unsigned"
    try:
        trust.configured().require(signed.note)
    except (ValueError, OSError):
        return "uncosigned"
    return ""


def _forget(due: Due) -> None:
    """Delete what stands beside the entries: their personal values, their counts, the words that searches know."""
    events = Entry.objects.filter(index__lt=due.end).values("event_id")
    PersonalValue.objects.filter(event_id__in=events).delete()
    Rollup.objects.filter(hour__lt=due.month.later(1).begins_at).delete()
    PeriodCount.objects.filter(at__lt=due.month.later(1).begins_at).delete()
    Term.objects.filter(month__lt=month_of(due.month.later(1).begins_at)).delete()


def _remove_rows() -> None:
    """On SQLite, delete the rows below the minimum. A crash in between leaves some, and the next call goes on."""
    if connection.vendor == "postgresql":
        return
    while True:
        rows = Entry.objects.filter(index__lt=state.minimum()).order_by("index").values("index")[:ROWS_AT_ONCE]
        with transaction.atomic():
            if not Entry.objects.filter(index__in=rows).delete()[0]:
                return


def _name(month: Month) -> str:
    return f"{month.year:04d}-{month.month:02d}"
