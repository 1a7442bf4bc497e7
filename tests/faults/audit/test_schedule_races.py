"""Two sweeps at once, and a sweep against its owner, on two real connections: one run, one export, no letter twice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from django.core import mail
from pytest_django import Settings

from aims.people.models import User
from audit.exports.models import Export
from audit.exports.schedules import services
from audit.exports.schedules.errors import ScheduleError
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.sequencer import Sequencer
from tests.support.racing import at_once
from tests.unit.audit.exports.schedule_desk import DUE, made, scheduled, swept

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Settings, sequencer: Sequencer) -> None:
    settings.EXPORT_DIR = str(tmp_path / "exports")
    sequencer.run_once()


def test_two_sweeps_make_one_run_one_export_and_one_letter(ben: User, sequencer: Sequencer) -> None:
    for name in ("One", "Two", "Three"):
        scheduled(ben.ref, name=name, tells=(ben.ref,))
    sequencer.run_once()
    begun = at_once(*[partial(swept, DUE)] * 3)
    assert sum(begun) == ScheduleRun.objects.count() == Export.objects.count() == 3
    for _ in range(3):
        made(DUE)
    Export.objects.update(state="ready", bundle_hash="x")
    ScheduleRun.objects.update(tell_at=DUE, untold=[ben.ref], told=0)
    mail.outbox.clear()
    at_once(*[partial(swept, DUE)] * 3)
    assert sorted(letter.subject for letter in mail.outbox) == [
        f"Report ready: {name}" for name in ("One", "Three", "Two")
    ]


def test_a_sweep_against_pausing_runs_or_is_paused(ben: User, sequencer: Sequencer) -> None:
    row = scheduled(ben.ref)
    sequencer.run_once()
    at_once(partial(swept, DUE), partial(services.pause, row, by=ben.ref))
    row.refresh_from_db()
    assert row.state == "paused"
    assert ScheduleRun.objects.count() == Export.objects.count() <= 1


def test_two_who_take_the_last_place_get_one(ben: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "SCHEDULES_MAX_OWNER", 2)
    scheduled(ben.ref)

    def take() -> str:
        try:
            return scheduled(ben.ref).ref
        except ScheduleError as error:
            return error.code

    answers = at_once(take, take)
    assert answers.count("too_many_schedules") == 1
    assert Schedule.objects.count() == 2
