"""Moments as people write them in a query: ``2026-11``, ``2026-11-28T10:00Z``, ``7d``, ``today``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_AGO = re.compile(r"-?(\d{1,5})([smhdwy])")
_ABSOLUTE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[Tt](?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<ms>\d{3}))?)?)?"
    r"(?P<zone>[Zz]|[+-]\d\d:\d\d)?)?)?)?"
)

_PRECISION = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True)
class Moment:
    """A span of time as it was written. start: its first moment; end: the first after it, the same for an instant.

    Two moments are equal where their text is: what ``7d`` means moves on with the clock.
    """

    text: str
    start: datetime = field(compare=False)
    end: datetime = field(compare=False)


def moment(text: str, now: datetime) -> Moment | None:
    """Return what a text means, or None. now: aware; days and times without a zone are those of its zone."""
    if text in _WORDS:
        return _WORDS[text](text, now)
    try:
        if found := _AGO.fullmatch(text):
            at = _utc(now - int(found[1]) * _UNITS[found[2]])
            return Moment(text, at, at)
        return _absolute(text, now.tzinfo or UTC)
    except (ValueError, OverflowError):
        return None


def _absolute(text: str, zone: tzinfo) -> Moment | None:
    found = _ABSOLUTE.fullmatch(text)
    if not found:
        return None
    said = found.groupdict()
    if said["zone"]:
        zone = UTC if said["zone"] in "Zz" else datetime.strptime(said["zone"], "%z").tzinfo or UTC
    numbers = [int(said[name]) for name in _PRECISION if said[name]]
    year, month, day, hour, minute, second = (*numbers, *(0, 1, 1, 0, 0, 0)[len(numbers) :])
    start = datetime(year, month, day, hour, minute, second, int(said["ms"] or 0) * 1_000, zone)
    return Moment(text, _utc(start), _utc(_after(start, len(numbers), has_ms=bool(said["ms"]))))


def _after(start: datetime, precision: int, *, has_ms: bool) -> datetime:
    """Return the first moment after the year, month, day, hour, minute, second or millisecond that begins."""
    if precision == 1:
        return start.replace(year=start.year + 1)
    if precision == 2:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    if precision == 3:
        return start + timedelta(days=1)  # of the wall's clock: a day of 23 or 25 hours is one too
    if has_ms:
        return start + timedelta(milliseconds=1)
    return start + (_UNITS["h"], _UNITS["m"], _UNITS["s"])[precision - 4]


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _midnight(now: datetime, days_ago: int) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


def _day(days_ago: int) -> Callable[[str, datetime], Moment]:
    return lambda text, now: Moment(text, _utc(_midnight(now, days_ago)), _utc(_midnight(now, days_ago - 1)))


_WORDS: dict[str, Callable[[str, datetime], Moment]] = {
    "now": lambda text, now: Moment(text, _utc(now), _utc(now)),
    "today": _day(0),
    "yesterday": _day(1),
}
