"""Questions about schedules: which of them somebody may see and change, and which entries a period holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery

from audit import read
from audit.access import Scope
from audit.exports.schedules.errors import NoSuchSchedule
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.models import Entry


def visible_to(ref: str, scope: Scope) -> QuerySet[Schedule]:
    """Return the schedules that somebody may see: who may read the whole log sees all, others their own."""
    rows = Schedule.objects.order_by("name", "pk")
    return rows if scope.is_whole else rows.filter(owner=ref)


def schedule(name: str, *, ref: str, scope: Scope) -> Schedule:
    """Return one schedule. Raises: NoSuchSchedule, also for one that this reader may not see."""
    row = visible_to(ref, scope).filter(ref=name).first()
    if row is None:
        raise NoSuchSchedule(name)
    return row


def last_runs(rows: Collection[Schedule]) -> Mapping[int, ScheduleRun]:
    """Return the newest run of each schedule that ever ran, by its key."""
    newest = ScheduleRun.objects.filter(schedule=OuterRef("pk")).order_by("-until_at").values("pk")[:1]
    keys = Schedule.objects.filter(pk__in=[row.pk for row in rows]).annotate(last=Subquery(newest)).values("last")
    return {run.schedule_id: run for run in ScheduleRun.objects.filter(pk__in=keys)}


def recorded_in(since_at: datetime, until_at: datetime) -> tuple[int, int]:
    """Return the entries that were recorded in a period, as [first, end): ``recorded_at`` never falls, so it is a range.

    What went by retention is not in it.
    """
    end = read.size()
    first, end = max(_first_since(since_at, end), read.minimum()), _first_since(until_at, end)
    return min(first, end), end


def _first_since(at: datetime, otherwise: int) -> int:
    found = (
        Entry.objects.filter(recorded_at__gte=at)
        .order_by("recorded_at", "index")
        .values_list("index", flat=True)
        .first()
    )
    return otherwise if found is None else found
