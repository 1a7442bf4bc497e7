"""Rollups added up once their time is over: months and weeks kind by kind, days by decision and one thing more.

A year is then counted in milliseconds, and the month that is going on from what it came to yesterday. A day is added up after
an entry of a later one stands, since moments never fall. A count is a cache and proves nothing: ``rebuild`` makes it anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min, QuerySet, Sum

from audit.models import PeriodCount, Rollup
from audit.partitions import Month
from audit.rollups import KEY_BYTES, KIND
from audit.write import TYPE_MAX

Grain = PeriodCount.Grain
DAY, WEEK, MONTH, TO_DATE = Grain.DAY, Grain.WEEK, Grain.MONTH, Grain.TO_DATE
ONE_DAY, ONE_WEEK = timedelta(days=1), timedelta(days=7)

Row = tuple[bytes, str, str, str, str, int]  # key, then as KIND, then how many


def catch_up(moment: datetime) -> int:
    """Add up every day that ended before ``moment``, the newest entry's; return how many days that were.

    Each day is a transaction. A crash in between leaves the rest to the next call; two at once store the same numbers once.
    """
    at = until() or _first_day()
    done = 0
    while at is not None and at + ONE_DAY <= moment:
        with transaction.atomic():
            _add_up(at)
        at, done = at + ONE_DAY, done + 1
    if at is not None and until() == at and to_date(at) is None:
        with transaction.atomic():
            _add_up_to(at - ONE_DAY)
    return done


def until() -> datetime | None:
    """Return the first moment that is not added up yet; None where nothing is."""
    newest = PeriodCount.objects.filter(grain=DAY).order_by("-at").values_list("at", flat=True).first()
    return newest + ONE_DAY if newest else None


def to_date(done: datetime) -> QuerySet[PeriodCount] | None:
    """Return what the month came to up to ``done``, kind by kind; None where that is the month's end or was not added up."""
    found = PeriodCount.objects.filter(grain=TO_DATE, at=done - ONE_DAY)
    return found if done.day > 1 and found.exists() else None


def rebuild(moment: datetime) -> int:
    """Add everything up again. Nobody may catch up meanwhile."""
    PeriodCount.objects.all().delete()
    return catch_up(moment)


def _first_day() -> datetime | None:
    first = Rollup.objects.aggregate(first=Min("hour"))["first"]
    return day_of(first) if first else None


def day_of(at: datetime) -> datetime:
    """Return the first moment of a day, in UTC."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def week_of(at: datetime) -> datetime:
    """Return the first moment of a week, which begins on a Monday, in UTC."""
    day = day_of(at)
    return day - day.weekday() * ONE_DAY


def _add_up(day: datetime) -> None:
    after = day + ONE_DAY
    if after == Month.of(day).later(1).begins_at:
        _store(MONTH, day.replace(day=1), _kind_by_kind(day.replace(day=1), after))
    if after == week_of(after):
        _store(WEEK, week_of(day), _kind_by_kind(week_of(day), after))
    of_day = Rollup.objects.filter(hour__gte=day, hour__lt=after)
    rows = list(of_day.values_list(*KIND).annotate(Sum("n")).order_by())
    for at, name in enumerate(KIND):
        if name != "decision":
            _store(Grain(name), day, _by(rows, lambda kind, at=at: (kind[at], kind[2])))  # type: ignore[misc]
    # Last: it says that the day is done. A day without entries has a row too.
    _store(DAY, day, _by(rows or [("", "", "", "", 0)], lambda kind: ("", kind[2])))


def _add_up_to(day: datetime) -> None:
    """Add up a month to the end of a day. Whoever is counting with the day before finds that still."""
    if (after := day + ONE_DAY).day > 1:
        _store(TO_DATE, day, _kind_by_kind(day.replace(day=1), after))
    PeriodCount.objects.filter(grain=TO_DATE, at__lt=day - ONE_DAY).delete()


def _kind_by_kind(since: datetime, until: datetime) -> QuerySet[Any, Row]:
    found = Rollup.objects.filter(hour__gte=since, hour__lt=until)
    return found.values_list("key", *KIND).annotate(Sum("n")).order_by()


def _by(
    rows: list[tuple[str, str, str, str, int]], part: Callable[[tuple[str, ...]], tuple[str, str]]
) -> Iterator[Row]:
    """Yield rows added up by a value and a decision. The value stands in every column; its grain says which is meant."""
    sums: Counter[tuple[str, str]] = Counter()
    for *kind, n in rows:
        sums[part(tuple(kind))] += n
    for (value, decision), n in sorted(sums.items()):
        key = hashlib.sha256(f"{value}\0{decision}".encode()).digest()[:KEY_BYTES]
        yield key, value, value[:TYPE_MAX], decision, value, n


def _store(grain: Grain, at: datetime, rows: Iterable[Row]) -> None:
    PeriodCount.objects.bulk_create(_made(grain, at, rows), batch_size=1_000, ignore_conflicts=True)


def _made(grain: Grain, at: datetime, rows: Iterable[Row]) -> Iterator[PeriodCount]:
    for key, agent, kind, decision, resource, n in rows:
        yield PeriodCount(
            grain=grain, at=at, key=bytes(key), agent=agent, type=kind, decision=decision, resource=resource, n=n
        )
