"""When a report is due, and which time it is about: whole days, weeks or months of a place's calendar. Pure.

A boundary is the first moment of a day there. Where a clock change skips midnight that is the first moment after the gap,
where it repeats midnight the earlier of the two; a day that a place left out has none of its own. So periods follow each
other without a gap and without an overlap, whatever their length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

EVERY = ("day", "week", "month")
MISSED_MAX = 1_000  # beyond it nobody counts
_REACH = 4  # boundaries looked at on either side of now: more than any place ever left out in a row


class ZoneUnknown(ValueError):
    """No time zone of the IANA database has this name, here and now."""


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often. weekday: on which a week begins, 0 for Monday; None unless weekly. zone: a name of the IANA database."""

    every: str
    weekday: int | None
    zone: str

    def __post_init__(self) -> None:
        assert self.every in EVERY, self.every
        assert (self.weekday is not None) == (self.every == "week"), self


@dataclass(frozen=True, kw_only=True)
class Period:
    """A whole day, week or month, from ``since_at`` to before ``until_at``, and when the next one ends. All in UTC."""

    since_at: datetime
    until_at: datetime
    next_at: datetime


@cache
def zones() -> frozenset[str]:
    """Return the names of the time zones that there are."""
    return frozenset(available_timezones())


def must_be_zone(name: str) -> None:
    """Raise ZoneUnknown for what is no name of a zone. Nothing is opened by it: a name may be a path."""
    if name not in zones():
        raise ZoneUnknown(name[:64])


def period_at(rhythm: Rhythm, now: datetime) -> Period:
    """Return the newest period that is over at a moment, and when the one that runs will be. Raises: ZoneUnknown."""
    zone = _zone(rhythm.zone)
    days = _days(rhythm, now.astimezone(zone).date())
    begins = sorted({_begin(day, zone) for day in days})
    running = bisect_right(begins, now) - 1
    return Period(since_at=begins[running - 1], until_at=begins[running], next_at=begins[running + 1])


def missed(rhythm: Rhythm, *, after: datetime, before: datetime) -> int:
    """Return how many whole periods lie between two moments, at most MISSED_MAX. Raises: ZoneUnknown."""
    count = 0
    while count < MISSED_MAX:
        found = period_at(rhythm, before)
        if found.since_at < after:
            break
        count, before = count + 1, found.since_at
    return count


def _zone(name: str) -> ZoneInfo:
    must_be_zone(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ZoneUnknown(name) from error


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day: PEP 495 gives a midnight that is left out the offset of before the gap."""
    return datetime(day.year, day.month, day.day, tzinfo=zone, fold=0).astimezone(UTC)


def _days(rhythm: Rhythm, around: date) -> Iterator[date]:
    for step in range(-_REACH, _REACH + 1):
        if rhythm.every == "day":
            yield around + timedelta(days=step)
        elif rhythm.every == "week":
            assert rhythm.weekday is not None
            yield around + timedelta(days=rhythm.weekday - around.weekday(), weeks=step)
        else:
            months = around.year * 12 + around.month - 1 + step
            yield date(months // 12, months % 12 + 1, 1)
