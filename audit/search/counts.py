"""How many entries fit, of what kind and when: facets and a histogram.

A query about kinds alone (type, agent, decision, resource, time) is counted from the rollups, exactly; only where it begins or
ends within a day or an hour are entries read. Any other is counted from its newest matches, exactly up to COUNT_MAX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from operator import and_, or_
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Min, Q, QuerySet, Sum

from audit import tree
from audit.models import PeriodCount, Rollup
from audit.partitions import Month
from audit.rollups import HOURS_KEPT, KIND
from audit.search import periods
from audit.search.deadline import Deadline
from audit.search.finding import COUNT_MAX, Search
from audit.search.periods import ONE_DAY, ONE_WEEK
from audit.search.sql import Ground, span_of
from audit.search.syntax import All, AnyOf, Has, Not, Present, Tree

FACETS = ("decision", "type", "agent", "resource")
FACET_VALUES_MAX = 8
BARS_MAX = 120
HOURLY_MAX = timedelta(hours=72)  # spans up to that have a bar an hour
ONE_HOUR = timedelta(hours=1)
_GROUPED = {0b1111 ^ (0b1000 >> at): at for at in range(len(KIND))}  # by what PostgreSQL's grouping() says

Counted = tuple[datetime, str, str, str, str, int]  # when, as KIND, how many


@dataclass(frozen=True)
class Bar:
    """A span of time. by_decision: how many entries, by stored code; empty for entries without a decision."""

    start: datetime
    end: datetime
    by_decision: dict[str, int]

    @property
    def n(self) -> int:
        """How many entries the span has."""
        return sum(self.by_decision.values())


@dataclass(frozen=True)
class Counts:
    """What fits. is_exact: False where counting ended at COUNT_MAX. facets: by field, the most frequent first."""

    total: int
    is_exact: bool
    bars: list[Bar]
    facets: dict[str, list[tuple[str, int]]]


@dataclass
class _Sums:
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in KIND})
    total: int = 0

    def add(self, rows: Iterable[tuple[str, str, str, str, int]]) -> None:
        for *kind, n in rows:
            self.total += n
            for name, value in zip(KIND, kind, strict=True):
                if value:
                    self.kinds[name][value] += n

    def add_grouped(self, parts: list[QuerySet[Any, tuple[str, str, str, str, int]]]) -> None:
        """Add up what querysets of kinds and numbers hold: in the database where it can group by several columns at once."""
        if connection.vendor != "postgresql":
            for part in parts:
                self.add(part.values_list(*KIND).annotate(Sum("n")))
            return
        compiled = [made for part in parts if (made := _compiled(part))]
        if not compiled:
            return
        columns = ", ".join(KIND)
        sql = (
            f"SELECT {columns}, grouping({columns}), sum(n) FROM ({' UNION ALL '.join(one for one, _ in compiled)}) AS found "  # noqa: S608
            f"GROUP BY GROUPING SETS ({', '.join(f'({name})' for name in KIND)})"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [value for _, values in compiled for value in values])
            for *kind, grouping, n in cursor.fetchall():
                at = _GROUPED[grouping]
                self.total += int(n) if KIND[at] == "decision" else 0
                if kind[at]:
                    self.kinds[KIND[at]][kind[at]] += int(n)

    def facets(self) -> dict[str, list[tuple[str, int]]]:
        return {name: self.kinds[name].most_common(FACET_VALUES_MAX) for name in FACETS}


def count(search: Search, deadline: Deadline) -> Counts:
    """Return how many entries fit. Raises: TooBroad."""
    rolled = _Rolled(search)
    with deadline.kept():
        return rolled.counts() if rolled.is_possible else _from_matches(search)


def _from_matches(search: Search) -> Counts:
    """Count the newest matches, COUNT_MAX of them at most."""
    is_exact = len(search.matches) <= COUNT_MAX
    kept, sums = list(_spelled(match[1:] for match in search.matches[:COUNT_MAX])), _Sums()
    sums.add(row[1:] for row in kept)
    moments = [(at, decision, 1) for at, _agent, _type, decision, _resource, _n in kept]
    since, until = (kept[-1][0], kept[0][0] + timedelta(milliseconds=1)) if kept else (None, None)
    return Counts(len(kept), is_exact, _bars(moments, since, until), sums.facets())


class _Rolled:
    """A query about kinds and a span of time, counted from what was counted before."""

    def __init__(self, search: Search) -> None:
        self._search = search
        conditions = [rolled(search, part) for part in search.query.parts if not span_of(part)]
        self.is_possible = None not in conditions
        agents = search.scope.agents
        if agents is not None:
            conditions.append(Q(agent__in=sorted(agents)))
        self._condition = reduce(and_, filter(None, conditions), Q())

    @cached_property
    def _done(self) -> datetime | None:
        """Up to when days are added up: looked up once, so that facets and bars count with the same."""
        return periods.until()

    def counts(self) -> Counts:
        moment = tree.moment()
        first = Rollup.objects.aggregate(first=Min("hour"))["first"]
        if first is None:
            return Counts(0, True, [], _Sums().facets())
        since, until = self._search.ends()
        since = max(since, first) if since else first
        until = min(until, moment + timedelta(milliseconds=1)) if until else moment + timedelta(milliseconds=1)
        if since >= until:
            return Counts(0, True, [], _Sums().facets())
        return self._counted(since, until, hours_from=_day(moment - HOURS_KEPT))

    def _counted(self, since: datetime, until: datetime, *, hours_from: datetime) -> Counts:
        start = _ceiling(since, ONE_HOUR if since >= hours_from else ONE_DAY)
        end = until if until >= tree.moment() else _floor(until, ONE_HOUR if until >= hours_from else ONE_DAY)
        edges = [(since, until)] if start >= end else [(since, start), (end, until)]
        sums, moments = _Sums(), Counter[tuple[datetime, str]]()
        if start < end:
            sums.add_grouped(self._kinds(start, end))
            for at, decision, n in self._moments(start, end, step=_step(since, until), hours_from=hours_from):
                moments[at, decision] += n
        for low, high in edges:
            rows = list(self._entries(low, high)) if low < high else []
            sums.add(row[1:] for row in rows)
            for at, _agent, _type, decision, _resource, n in rows:
                moments[at, decision] += n
        bars = _bars(((at, decision, n) for (at, decision), n in moments.items()), since, until)
        return Counts(sums.total, True, bars, sums.facets())

    def _kinds(self, start: datetime, end: datetime) -> list[QuerySet[Any, tuple[str, str, str, str, int]]]:
        """Return what is counted of each kind: months and weeks as they were added up, this month to date, the rest from rollups."""
        done = self._done or start
        first, last = _months(start, min(end, done))
        parts: list[QuerySet[Rollup] | QuerySet[PeriodCount]] = []
        if first < last:
            months = PeriodCount.objects.filter(grain=periods.MONTH, at__gte=first, at__lt=last)
            parts, start = [*self._weeks(start, first, done), months], last
        if start == Month.of(done).begins_at and done <= end and (to_date := periods.to_date(done)) is not None:
            parts, start = [*parts, to_date], done
        parts += self._weeks(start, end, done)
        return [part.filter(self._condition).order_by().values_list(*KIND, "n") for part in parts]

    def _weeks(self, start: datetime, end: datetime, done: datetime) -> list[QuerySet[Rollup] | QuerySet[PeriodCount]]:
        """Return what is counted of each kind within a month: whole weeks as they were added up, the rest from the rollups."""
        first, last = _ceiling(start, ONE_WEEK), _floor(min(end, done), ONE_WEEK)
        if first >= last:
            return [self._rollups(start, end)]
        weeks = PeriodCount.objects.filter(grain=periods.WEEK, at__gte=first, at__lt=last)
        return [self._rollups(start, first), weeks, self._rollups(last, end)]

    def _moments(
        self, start: datetime, end: datetime, *, step: timedelta, hours_from: datetime
    ) -> Iterator[tuple[datetime, str, int]]:
        if step == ONE_HOUR and start < hours_from:  # what was folded into days is told apart by the entries alone
            yield from ((at, decision, n) for at, _a, _t, decision, _r, n in self._entries(start, end))
            return
        grain, done = self._grain(step), self._done
        if grain and done:
            whole = ONE_WEEK if grain == periods.WEEK else ONE_DAY
            first, last = _ceiling(start, whole), _floor(min(done, end), whole)
            if first < last:
                added = PeriodCount.objects.filter(self._condition, grain=grain, at__gte=first, at__lt=last).order_by()
                yield from added.values_list("at", "decision").annotate(Sum("n"))
                yield from self._hours(start, first)
                start = last
        yield from self._hours(start, end)

    def _grain(self, step: timedelta) -> periods.Grain | None:
        """Return what is added up, not finer than the bars, that tells all the query asks for."""
        if step == ONE_HOUR:
            return None
        fields = set(self._search.query.fields()) | ({"agent"} if self._search.scope.agents is not None else set())
        fields -= {"time", "decision"}
        if len(fields) > 1:
            return periods.WEEK if step >= ONE_WEEK else None
        return periods.Grain(fields.pop()) if fields else periods.DAY

    def _hours(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, str, int]]:
        rows = self._rollups(start, end).filter(self._condition).order_by()
        yield from rows.values_list("hour", "decision").annotate(Sum("n"))

    def _rollups(self, start: datetime, end: datetime) -> QuerySet[Rollup]:
        return Rollup.objects.filter(hour__gte=start, hour__lt=end)

    def _entries(self, low: datetime, high: datetime) -> Iterator[Counted]:
        """Yield the matches of a part of a day or an hour, one by one."""
        for stretch in self._search.stretches:
            rows = self._search.within(stretch).filter(recorded_at__gte=low, recorded_at__lt=high).order_by()
            yield from _spelled(rows.values_list("recorded_at", *KIND))


def rolled(search: Search, part: Tree) -> Q | None:
    """Return a part of a query as a condition on rollups; None where they don't tell."""
    if isinstance(part, Not):
        inner = rolled(search, part.part)
        return None if inner is None else ~inner
    if isinstance(part, All | AnyOf):
        parts = [rolled(search, each) for each in part.parts]
        return None if None in parts else reduce(and_ if isinstance(part, All) else or_, filter(None, parts))
    if isinstance(part, Present) and part.field in KIND:
        return ~Q(**{part.field: ""})
    if isinstance(part, Has) and part.field in KIND:
        return search.meaning.condition(part, Ground())
    return None


def _spelled(rows: Iterable[tuple[datetime, str | None, str, str | None, str | None]]) -> Iterator[Counted]:
    """Yield matches as the rollups would spell them."""
    for at, agent, kind, decision, resource in rows:
        yield at, agent or "", kind, decision or "", resource or "", 1


def _compiled(part: QuerySet[Any, tuple[str, str, str, str, int]]) -> tuple[str, tuple[Any, ...]] | None:
    """Return a queryset as SQL with parameters, all values among these; None for one that can't find anything."""
    try:
        return part.query.sql_with_params()
    except EmptyResultSet:
        return None


def _bars(moments: Iterable[tuple[datetime, str, int]], since: datetime | None, until: datetime | None) -> list[Bar]:
    """Return the bars of a span, each as long as ``_step`` says."""
    if since is None or until is None:
        return []
    step = _step(since, until)
    start = _floor(since, step)
    counts: dict[int, Counter[str]] = {}
    for at, decision, n in moments:
        counts.setdefault(max(0, (at - start) // step), Counter())[decision] += n
    last = max([(until - timedelta(milliseconds=1) - start) // step, *counts])
    return [Bar(start + at * step, start + (at + 1) * step, dict(counts.get(at, {}))) for at in range(last + 1)]


def _step(since: datetime, until: datetime) -> timedelta:
    """Return how long a bar of a span is: an hour, a day, or so many weeks that there are not more than BARS_MAX."""
    if until - since <= HOURLY_MAX:
        return ONE_HOUR
    if until - _floor(since, ONE_DAY) <= BARS_MAX * ONE_DAY:
        return ONE_DAY
    return max(1, -((_floor(since, ONE_WEEK) - until) // (BARS_MAX * ONE_WEEK))) * ONE_WEEK


def _months(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the whole months between two moments: the first one's beginning, and the last one's end."""
    first = Month.of(start)
    return (first.begins_at if first.begins_at == start else first.later(1).begins_at), Month.of(end).begins_at


def _floor(at: datetime, step: timedelta) -> datetime:
    """Return the beginning of the hour, of the day, or of the week where a step has more days."""
    if step > ONE_DAY:
        return periods.week_of(at)
    at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return at if step == ONE_HOUR else at.replace(hour=0)


def _ceiling(at: datetime, step: timedelta) -> datetime:
    floor = _floor(at, step)
    return floor if floor == at else floor + step


def _day(at: datetime) -> datetime:
    return _floor(at, ONE_DAY)
