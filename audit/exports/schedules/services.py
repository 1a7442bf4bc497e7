"""Verbs of schedules: set, change, pause, resume, remove. What is due is found and made by ``running``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from audit.exports import asking
from audit.exports.schedules import due
from audit.exports.schedules.due import Rhythm, ZoneUnknown
from audit.exports.schedules.errors import ScheduleMoved, TellsRefused, TooManySchedules, ZoneRefused
from audit.exports.schedules.events import (
    ScheduleChanged,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
)
from audit.exports.schedules.models import Schedule
from audit.exports.schedules.readers import Readers
from audit.write import NOBODY, Facts, record

SCHEDULES_MAX_OWNER = 10
SCHEDULES_MAX = 100
NAME_MAX = 100
TELLS_MAX = 10
SETTLED_AFTER = timedelta(minutes=10)  # a period is over, and what was recorded in it is numbered and signed
_KEPT = ("name", "query", "formats", "every", "weekday", "zone", "tells")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a schedule is to be. query: empty for every entry of the period. tells: refs of people, mailed a link."""

    name: str
    query: str
    formats: tuple[str, ...]
    rhythm: Rhythm
    tells: tuple[str, ...]


def set_up(asked: Asked, *, owner: str, by: str, readers: Readers, now: datetime) -> Schedule:
    """Schedule a report that begins with the period that runs, in the name of its owner.

    Raises: QueryError, FormatMissing, ZoneRefused, TellsRefused, TooManySchedules.
    """
    _must_be_lawful(asked, readers, now)
    row = Schedule(owner=owner, set_at=now, **_columns(asked), **_begun(asked.rhythm, now))
    with transaction.atomic():
        _must_have_room(owner)
        row.save(force_insert=True)
        record(ScheduleSet(schedule=row.ref, **_told(row)), by=by, facts=facts_of(row))
    return row


def change(row: Schedule, asked: Asked, *, by: str, readers: Readers, now: datetime) -> None:
    """Make a schedule what is asked. Where its rhythm is another, it begins anew with the period that runs.

    Nothing is written where nothing is another. Raises as ``set_up``; ScheduleMoved where somebody else was first.
    """
    _must_be_lawful(asked, readers, now)
    columns = _columns(asked)
    changed = [name for name in _KEPT if getattr(row, name) != columns[name]]
    if not changed:
        return
    if asked.rhythm != row.rhythm:
        columns |= _begun(asked.rhythm, now)
    with transaction.atomic():
        held = Schedule.objects.filter(pk=row.pk, version=row.version)
        _move(held, version=F("version") + 1, **columns)
        row.refresh_from_db()
        record(ScheduleChanged(schedule=row.ref, changed=changed, **_told(row)), by=by, facts=facts_of(row))


def pause(row: Schedule, *, by: str) -> None:
    """Take nothing until it is resumed. Raises: ScheduleMoved."""
    with transaction.atomic():
        _move(_in(row, "active"), state="paused", version=F("version") + 1)
        record(SchedulePaused(schedule=row.ref), by=by, facts=facts_of(row))
    row.refresh_from_db()


def resume(row: Schedule, *, by: str, now: datetime) -> None:
    """Go on with the period that runs; what was over meanwhile is not made up for. Raises: ScheduleMoved, ZoneRefused."""
    begun = _begun(row.rhythm, now)
    with transaction.atomic():
        _move(_in(row, "paused", "stopped"), state="active", stopped_for="", version=F("version") + 1, **begun)
        record(ScheduleResumed(schedule=row.ref), by=by, facts=facts_of(row))
    row.refresh_from_db()


def remove(row: Schedule, *, by: str, reason: str = "asked") -> None:
    """End a schedule; its exports stay as long as they would have. Raises: ScheduleMoved."""
    with transaction.atomic():
        if not Schedule.objects.filter(pk=row.pk).select_for_update().exists():
            raise ScheduleMoved("it is gone")
        record(ScheduleRemoved(schedule=row.ref, reason=reason), by=by, facts=facts_of(row))
        Schedule.objects.filter(pk=row.pk).delete()


def forget(person: str, words: Collection[str]) -> None:
    """Remove the schedules of a person who is erased, and those that name them; in the caller's transaction.

    words: what the person was called, in small letters.
    """
    for row in Schedule.objects.all():
        told = f"{row.name}\n{row.query}".casefold()
        if row.owner == person or any(word in told for word in words):
            remove(row, by="system", reason="erasure")


def _columns(asked: Asked) -> dict[str, Any]:
    rhythm = vars(asked.rhythm)
    return {
        "name": asked.name,
        "query": asked.query,
        "formats": list(asked.formats),
        "tells": list(asked.tells),
        **rhythm,
    }


def _begun(rhythm: Rhythm, now: datetime) -> dict[str, datetime]:
    try:
        period = due.period_at(rhythm, now)
    except ZoneUnknown as error:
        raise ZoneRefused(str(error)) from error
    return {"from_at": period.until_at, "next_at": period.next_at + SETTLED_AFTER}


def _told(row: Schedule) -> dict[str, Any]:
    return {
        "every": row.every,
        "weekday": row.weekday,
        "zone": row.zone,
        "query_hash": "sha-256:" + hashlib.sha256(row.query.encode()).hexdigest() if row.query else None,
        "formats": row.formats,
        "tells": row.tells,
    }


def facts_of(row: Schedule) -> Facts:
    """Return whose it is: a person as subject, so that it is found among what they take; a machine as agent."""
    return Facts(**(vars(NOBODY) | {"agent" if "://" in row.owner else "subject": row.owner}))


def _in(row: Schedule, *states: str) -> QuerySet[Schedule]:
    return Schedule.objects.filter(pk=row.pk, state__in=states)


def _move(rows: QuerySet[Schedule], **values: Any) -> None:
    """Change exactly one row. Raises: ScheduleMoved where it is not in the state or version that was looked for."""
    if rows.update(**values) != 1:
        raise ScheduleMoved("it is in another state, or was changed meanwhile")


def _must_be_lawful(asked: Asked, readers: Readers, now: datetime) -> None:
    try:
        due.must_be_zone(asked.rhythm.zone)
    except ZoneUnknown as error:
        raise ZoneRefused(str(error)) from error
    asking.must_parse(asked.query, now)
    asking.must_be_known(asked.formats)
    known = {ref for ref, _ in readers.people()} if asked.tells else set()
    if len(asked.tells) > TELLS_MAX or len(set(asked.tells)) != len(asked.tells) or not known >= set(asked.tells):
        raise TellsRefused(f"at most {TELLS_MAX} people, each once, who may read the log")


def _must_have_room(owner: str) -> None:
    """Count under a lock on what is there, so that two at once don't both take the last place. Raises: TooManySchedules."""
    list(Schedule.objects.select_for_update().order_by("pk").values_list("pk"))
    rows = Schedule.objects.all()
    if rows.filter(owner=owner).count() >= SCHEDULES_MAX_OWNER or rows.count() >= SCHEDULES_MAX:
        raise TooManySchedules(f"at most {SCHEDULES_MAX_OWNER} of one owner, {SCHEDULES_MAX} in all")
