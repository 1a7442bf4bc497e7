"""Sweeps under a clock that jumps as it likes: never a period twice, never one that is not over, and always the newest one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aims.people.models import User
from audit.exports.models import Export
from audit.exports.schedules import due
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.exports.schedules.services import SETTLED_AFTER
from audit.sequencer import Sequencer
from tests.support.log import log_key as log_key
from tests.support.log import sequencer as sequencer
from tests.unit.audit.exports.schedule_desk import NOW, scheduled, swept

pytestmark = pytest.mark.django_db
JUMPS_MIN = st.lists(st.integers(-5 * 1440, 5 * 1440), max_size=8)
RHYTHMS = st.sampled_from(
    [
        ("day", None, "Europe/Berlin"),
        ("day", None, "Pacific/Apia"),
        ("week", 6, "UTC"),
        ("month", None, "America/Havana"),
    ]
)


@given(RHYTHMS, JUMPS_MIN)
@example(("day", None, "UTC"), [1440, 1440, -2880, 1440, 1440])
@example(("day", None, "UTC"), [5 * 1440] * 8 + [-5 * 1440] * 8)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_period_comes_twice_and_the_newest_comes(
    ben: User, sequencer: Sequencer, rhythm: tuple[str, int | None, str], jumps: list[int]
) -> None:
    sequencer.run_once()
    every, weekday, zone = rhythm
    row = scheduled(ben.ref, every=every, weekday=weekday, zone=zone)
    clock = newest = NOW
    for minutes in jumps:
        clock += timedelta(minutes=minutes)
        newest = max(newest, clock)
        before = set(row.runs.values_list("until_at", flat=True))
        begun = swept(clock)
        told = set(row.runs.values_list("until_at", flat=True)) - before
        assert begun == len(told) <= 1
        assert all(until_at <= clock - SETTLED_AFTER for until_at in told)
    last = newest + timedelta(days=32)
    swept(last)
    row.refresh_from_db()
    period = due.period_at(row.rhythm, last - SETTLED_AFTER)
    assert row.runs.filter(until_at=period.until_at).exists() and row.next_at == period.next_at + SETTLED_AFTER
    assert row.runs.exclude(export="").count() == Export.objects.count()
    for model in (ScheduleRun, Schedule, Export):
        model.objects.all().delete()
