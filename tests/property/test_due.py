"""Periods of scheduled reports: whole days, weeks and months of any place, one after the other, whatever its clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.exports.schedules.due import MISSED_MAX, Rhythm, ZoneUnknown, missed, must_be_zone, period_at, zones

ZONES = sorted(zones())
BEGIN = datetime(1995, 1, 10, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=20_000)).map(lambda since: BEGIN + since)
LENGTHS_H = {"day": (22, 49), "week": (144, 170), "month": (648, 746)}  # Apia's December of 2011 has 30 days


@st.composite
def rhythms(draw: st.DrawFn) -> Rhythm:
    every = draw(st.sampled_from(["day", "week", "month"]))
    weekday = draw(st.integers(0, 6)) if every == "week" else None
    return Rhythm(every=every, weekday=weekday, zone=draw(st.sampled_from(ZONES)))


def daily(zone: str) -> Rhythm:
    return Rhythm(every="day", weekday=None, zone=zone)


@given(rhythms(), MOMENTS)
@example(daily("Pacific/Apia"), datetime(2011, 12, 30, 12, tzinfo=UTC))
@example(daily("America/Sao_Paulo"), datetime(2018, 11, 4, 4, tzinfo=UTC))
@example(daily("America/Havana"), datetime(2026, 11, 1, 4, 30, tzinfo=UTC))
@example(daily("Antarctica/Troll"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@settings(max_examples=150, deadline=None)
def test_a_period_is_over_whole_and_the_next_begins_where_it_ends(rhythm: Rhythm, now: datetime) -> None:
    found = period_at(rhythm, now)
    assert found.since_at < found.until_at <= now < found.next_at
    following = period_at(rhythm, found.next_at)
    assert (following.since_at, following.until_at) == (found.until_at, found.next_at)
    assert period_at(rhythm, found.next_at - timedelta(microseconds=1)) == found
    least_h, most_h = LENGTHS_H[rhythm.every]
    assert timedelta(hours=least_h) <= found.until_at - found.since_at <= timedelta(hours=most_h)


@given(rhythms(), MOMENTS)
@settings(max_examples=100, deadline=None)
def test_a_period_begins_with_a_day_of_its_place_and_never_within_one(rhythm: Rhythm, now: datetime) -> None:
    zone, found = ZoneInfo(rhythm.zone), period_at(rhythm, now)
    for at in (found.since_at, found.until_at, found.next_at):
        local, before = at.astimezone(zone), (at - timedelta(milliseconds=1)).astimezone(zone)
        assert before.date() < local.date() or (local.hour, local.minute) == (0, 0)
        if rhythm.every == "week":
            assert local.weekday() == rhythm.weekday or "Pacific" in rhythm.zone  # they left out whole days
        if rhythm.every == "month":
            assert local.day == 1 or "Pacific" in rhythm.zone


@given(rhythms(), MOMENTS, st.timedeltas(timedelta(0), timedelta(days=400)))
@settings(max_examples=60, deadline=None)
def test_time_that_goes_on_never_leads_back(rhythm: Rhythm, now: datetime, later: timedelta) -> None:
    first, second = period_at(rhythm, now), period_at(rhythm, now + later)
    assert first.until_at <= second.until_at and first.next_at <= second.next_at
    assert (first == second) == (now + later < first.next_at)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 30, 0, 10, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 26, 0, 10, tzinfo=UTC), 25),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 14, tzinfo=UTC), 24.5),
        ("America/Sao_Paulo", datetime(2018, 11, 5, 3, tzinfo=UTC), 23),
        ("America/Havana", datetime(2026, 11, 2, 6, tzinfo=UTC), 25),
        ("Pacific/Apia", datetime(2011, 12, 31, 12, tzinfo=UTC), 24),
        ("UTC", datetime(2026, 10, 26, 0, 10, tzinfo=UTC), 24),
    ],
)
def test_the_day_of_a_clock_change_has_the_length_that_it_had(zone: str, day: datetime, hours: float) -> None:
    found = period_at(daily(zone), day)
    assert found.until_at - found.since_at == timedelta(hours=hours)


def test_months_have_their_own_lengths() -> None:
    rhythm = Rhythm(every="month", weekday=None, zone="Europe/Berlin")
    lengths = [period_at(rhythm, datetime(2028, month, 2, tzinfo=UTC)) for month in range(1, 13)]
    days = [(each.until_at - each.since_at).total_seconds() / 86_400 for each in lengths]
    assert [round(each) for each in days] == [31, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30]


def test_what_was_missed_is_counted_and_the_count_has_an_end() -> None:
    rhythm, now = daily("Europe/Berlin"), datetime(2026, 11, 28, 12, tzinfo=UTC)
    newest = period_at(rhythm, now)
    counts = [missed(rhythm, after=newest.since_at - timedelta(days=days), before=newest.since_at) for days in range(4)]
    assert counts == [0, 1, 2, 3]
    assert missed(rhythm, after=newest.until_at, before=newest.since_at) == 0
    assert missed(rhythm, after=datetime(1990, 1, 1, tzinfo=UTC), before=newest.since_at) == MISSED_MAX


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../etc/passwd", "/etc/passwd", "/etc/localtime", "Europe", "Europe/", "europe/berlin", "UTC\n",
     "Europe/Berlin\0", "Europe/Berlin ", "GMT+25", "posix/UTC", "x" * 10_000, "Europe\\Berlin", "tzdata.zi", "Ёвропа"],
)  # fmt: skip
def test_what_is_no_name_of_a_zone_opens_nothing(name: str) -> None:
    with pytest.raises(ZoneUnknown):
        must_be_zone(name)
    with pytest.raises(ZoneUnknown):
        period_at(daily(name), datetime(2026, 11, 28, tzinfo=UTC))
