"""The sweep of schedules: what is due becomes an ordinary export, and whoever wants to know is told how it ended.

Each step is a conditional update, so two sweeps at once make one run. A crash between the steps leaves what the next sweep
finds: a schedule still due, a run still open, a letter still to be sent (which then may come twice).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from audit.access import Scope
from audit.errors import LogError, NoLog
from audit.exports import services as exports
from audit.exports import spans
from audit.exports.errors import TooManyExports
from audit.exports.models import Export
from audit.exports.schedules import due, queries, telling
from audit.exports.schedules.due import Period, ZoneUnknown
from audit.exports.schedules.events import ScheduleFailed, ScheduleRan, ScheduleStopped
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.exports.schedules.readers import Readers
from audit.exports.schedules.services import SETTLED_AFTER, facts_of
from audit.exports.services import Wanted
from audit.search.errors import QueryError
from audit.write import record

log = logging.getLogger(__name__)

AHEAD_MAX = timedelta(days=40)  # later than that nothing can be due: the clock was wrong when it was noted
RUNS_KEPT = 50  # of one schedule, the newest
LETTERS_MAX = 10  # runs told of in one sweep
TELL_AGAIN_S = (60, 300, 1800, 7200)


def sweep(readers: Readers, *, now: Callable[[], datetime]) -> int:
    """Begin what is due, end what was made, tell who wants to know; return how many runs were begun."""
    begun = sum(_run(row, readers, now()) for row in _due(now()))
    for run in ScheduleRun.objects.filter(outcome="making").select_related("schedule"):
        _end(run, now())
    untold = ScheduleRun.objects.filter(tell_at__lte=now()).select_related("schedule").order_by("tell_at", "pk")
    for run in untold[:LETTERS_MAX]:
        _tell(run, readers, now())
    return begun


def _due(now: datetime) -> list[Schedule]:
    is_due = Q(next_at__lte=now) | Q(next_at__gt=now + AHEAD_MAX)
    return list(Schedule.objects.filter(is_due, state="active").order_by("next_at", "pk"))


def _run(row: Schedule, readers: Readers, now: datetime) -> bool:
    try:
        period = due.period_at(row.rhythm, now - SETTLED_AFTER)
    except ZoneUnknown:
        return _stop(row, "zone_unknown", Period(since_at=row.from_at, until_at=row.next_at, next_at=now), now)
    if row.next_at > now:
        return _set_right(row, period)
    scope = readers.scope(row.owner)
    if scope is None:
        return _stop(row, "right_lost", period, now)
    try:
        return _begin(row, period, scope, now)
    except TooManyExports:
        return False  # it stays due, and the next sweep tries again
    except (LogError, QueryError) as error:
        return _fail(row, period, error.code, now)


def _set_right(row: Schedule, period: Period) -> bool:
    """Wait for the period that runs, where a clock that was ahead made it wait for another."""
    _claim(row, period)
    return False


def _begin(row: Schedule, period: Period, scope: Scope, now: datetime) -> bool:
    """Move the schedule on and ask for the export, both or neither."""
    first, end = queries.recorded_in(period.since_at, period.until_at)
    if not _is_signed(end):
        return False  # it stays due until a checkpoint covers the period
    with transaction.atomic():
        if not _claim(row, period) or row.runs.filter(until_at=period.until_at).exists():
            return False
        ref = _asked(row, first, end, scope, now).ref if first < end else ""
        run = _noted(row, period, now, outcome="making" if ref else "nothing", export=ref)
        since_ms, until_ms = _ms(period.since_at), _ms(period.until_at)
        event = ScheduleRan(
            schedule=row.ref, export=ref or None, since_ms=since_ms, until_ms=until_ms, missed=run.missed
        )
        record(event, by="system", facts=facts_of(row))
    return True


def _is_signed(end: int) -> bool:
    try:
        return spans.signed_size() >= end
    except NoLog:
        return False


def _asked(row: Schedule, first: int, end: int, scope: Scope, now: datetime) -> Export:
    return exports.ask(
        kind="filter" if row.query else "range",
        title=row.name,
        sets=[Wanted(name="entries", query=row.query, first=first, end=end)],
        formats=["jsonl", *(name for name in row.formats if name != "jsonl")],
        scope=scope,
        by=row.owner,
        now=now,
    )


def _fail(row: Schedule, period: Period, code: str, now: datetime) -> bool:
    log.warning("the scheduled report %s could not be begun: %s", row.ref, code)
    with transaction.atomic():
        if not _claim(row, period) or row.runs.filter(until_at=period.until_at).exists():
            return False
        run = _noted(row, period, now, outcome="failed", code=code)
        _record_failure(run, row)
    return True


def _stop(row: Schedule, reason: str, period: Period, now: datetime) -> bool:
    with transaction.atomic():
        held = Schedule.objects.filter(pk=row.pk, state="active", next_at=row.next_at)
        if not held.update(state="stopped", stopped_for=reason, version=F("version") + 1):
            return False
        if not row.runs.filter(until_at=period.until_at).exists():
            _noted(row, period, now, outcome="stopped", code=reason)
        record(ScheduleStopped(schedule=row.ref, reason=reason), by="system", facts=facts_of(row))
    return False


def _claim(row: Schedule, period: Period) -> bool:
    """Move a schedule on to the period after this one, if nobody else has; return whether it was ours."""
    held = Schedule.objects.filter(pk=row.pk, state="active", next_at=row.next_at, version=row.version)
    return bool(held.update(next_at=period.next_at + SETTLED_AFTER, from_at=period.until_at))


def _noted(
    row: Schedule, period: Period, now: datetime, *, outcome: str, export: str = "", code: str = ""
) -> ScheduleRun:
    """Keep a run, and let go of the oldest ones. Of one that is over, whoever wants to know is told."""
    tells = [] if outcome == "making" else row.tells
    run = ScheduleRun.objects.create(
        schedule=row, since_at=period.since_at, until_at=period.until_at, ran_at=now, outcome=outcome, export=export,
        code=code, missed=_missed(row, period), untold=tells, tell_at=now if tells else None,
    )  # fmt: skip
    old = list(row.runs.exclude(outcome="making").order_by("-until_at").values_list("pk", flat=True)[RUNS_KEPT:])
    row.runs.filter(pk__in=old).delete()
    return run


def _missed(row: Schedule, period: Period) -> int:
    try:
        return due.missed(row.rhythm, after=row.from_at, before=period.since_at)
    except ZoneUnknown:
        return 0


def _end(run: ScheduleRun, now: datetime) -> None:
    """Note how the export of a run ended, if it did."""
    export = Export.objects.filter(ref=run.export).first()
    if export is not None and export.is_open:
        return
    is_ready = export is not None and export.state == "ready"
    run.code = "" if is_ready else "gone" if export is None else export.failure or export.state
    run.outcome = "ready" if is_ready else "failed"
    tells = run.schedule.tells
    with transaction.atomic():
        held = ScheduleRun.objects.filter(pk=run.pk, outcome="making")
        if not held.update(outcome=run.outcome, code=run.code, untold=tells, tell_at=now if tells else None):
            return
        if not is_ready:
            _record_failure(run, run.schedule)


def _tell(run: ScheduleRun, readers: Readers, now: datetime) -> None:
    """Mail who has not been told. One that can't be mailed is tried again, and given up in the end; so it says."""
    wait_s = TELL_AGAIN_S[min(run.tell_tries, len(TELL_AGAIN_S) - 1)]
    held = ScheduleRun.objects.filter(pk=run.pk, tell_at=run.tell_at)
    again_at = now + timedelta(seconds=wait_s)
    if not held.update(tell_at=again_at, tell_tries=F("tell_tries") + 1):
        return
    letter = telling.letter(run, settings.ISSUER)
    left, told = [], run.told
    for ref in run.untold:
        scope = readers.scope(ref)
        if scope is None or not (scope.is_whole or ref == run.schedule.owner):
            continue  # who can't open what the link leads to gets no link
        try:
            readers.mail(ref, letter)
            told += 1
        except OSError as error:
            log.warning("%s was not told of the scheduled report %s: %r", ref, run.schedule.ref, error)
            left.append(ref)
    is_over = not left or run.tell_tries >= len(TELL_AGAIN_S)
    ScheduleRun.objects.filter(pk=run.pk).update(untold=left, told=told, tell_at=None if is_over else again_at)


def _record_failure(run: ScheduleRun, row: Schedule) -> None:
    event = ScheduleFailed(
        schedule=row.ref,
        export=run.export or None,
        code=run.code,
        since_ms=_ms(run.since_at),
        until_ms=_ms(run.until_at),
    )
    record(event, by="system", facts=facts_of(row))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
