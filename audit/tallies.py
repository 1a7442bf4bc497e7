"""How often each kind of entry was written in a period, from the rollups: what other rooms measure by.

Rollups are a cache and prove nothing; a count here says how many entries were numbered, by the hour or, for old ones,
by the day. The newest and the oldest moment are read from the entries themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, QuerySet, Sum

from audit.access import Scope
from audit.models import Entry, Rollup

_GRAIN = timedelta(days=1)  # the coarsest a rollup can be


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many entries of one kind. newest_at, oldest_at: the hour or day in which the last and the first were numbered."""

    type: str
    decision: str
    agent: str
    count: int
    newest_at: datetime
    oldest_at: datetime


def tallies(since_at: datetime, until_at: datetime, *, scope: Scope) -> list[Tally]:
    """Return the counts by type and decision, of all agents together. since_at, until_at: at midnight (UTC)."""
    return _counted(_within(since_at, until_at, scope), by=("type", "decision"))


def tallies_of(agents: Collection[str], since_at: datetime, until_at: datetime, *, scope: Scope) -> list[Tally]:
    """Return the counts by agent, type and decision of some agents. agents: identifiers."""
    rows = _within(since_at, until_at, scope).filter(agent__in=sorted(agents))
    return _counted(rows, by=("type", "decision", "agent"))


def newest_of(tallied: Iterable[Tally], *, scope: Scope) -> datetime | None:
    """Return when the newest of the tallied entries was recorded, to the millisecond; None for none."""
    tallied = list(tallied)
    if not tallied:
        return None
    last = max(tally.newest_at for tally in tallied)
    types = {tally.type for tally in tallied if tally.newest_at == last}
    rows = Entry.objects.filter(type__in=types, recorded_at__gte=last, recorded_at__lt=last + _GRAIN)
    found = scope.restrict(rows).order_by("-recorded_at").values_list("recorded_at", flat=True).first()
    return found or last


def began_at(*, scope: Scope) -> datetime | None:
    """Return when the oldest entry that is still kept was recorded; None for none."""
    return scope.restrict(Entry.objects.all()).order_by("index").values_list("recorded_at", flat=True).first()


def _within(since_at: datetime, until_at: datetime, scope: Scope) -> QuerySet[Rollup]:
    return scope.restrict(Rollup.objects.filter(hour__gte=since_at, hour__lt=until_at), at="hour")


def _counted(rows: QuerySet[Rollup], *, by: tuple[str, ...]) -> list[Tally]:
    found = rows.values(*by).annotate(count=Sum("n"), newest_at=Max("hour"), oldest_at=Min("hour")).order_by(*by)
    return [Tally(**{"agent": "", **row}) for row in found]
