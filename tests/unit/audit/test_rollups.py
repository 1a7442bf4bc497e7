"""What is counted while entries are numbered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.db.models import Sum

from audit import rollups
from audit.models import Entry, Rollup
from audit.sequencer import Sequencer
from audit.tasks import fold_counts
from audit.write import Facts, FailuresCounted, record
from tests.support.log import Recorder

pytestmark = pytest.mark.django_db
EVENT = FailuresCounted(source="src_1", code="invalid_client", count=1, minute="2026-11-23T21:00:00.000Z")


def _record(agent: str | None, decision: str | None, resource: str | None) -> None:
    facts = Facts(
        agent=agent, subject=None, resource=resource, action=None, decision=decision, txn=None, posture=None,
        remediation=None,
    )  # fmt: skip
    with transaction.atomic():
        record(EVENT, by="system", facts=facts)


def _counted() -> set[tuple[object, ...]]:
    return set(Rollup.objects.values_list("hour", "agent", "type", "decision", "resource", "n"))


def test_every_entry_is_counted_in_its_hour(sequencer: Sequencer, happen: Recorder) -> None:
    happen(3)
    sequencer.run_once()
    assert Rollup.objects.aggregate(n=Sum("n"))["n"] == Entry.objects.count()
    for hour, *_ in _counted():
        assert isinstance(hour, datetime)
        assert hour == hour.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def test_kinds_are_apart_and_batches_add_up(sequencer: Sequencer) -> None:
    sequencer.run_once()
    Rollup.objects.all().delete()
    for agent, decision, resource in [
        ("a", "allow", "r"),
        ("a", "deny", "r"),
        (None, "allow", "r"),
        ("a", "allow", "r"),
    ]:
        _record(agent, decision, resource)
        sequencer.run_once()
    kind = "audit.failures.counted"
    assert {row[1:] for row in _counted()} == {
        ("a", kind, "allow", "r", 2), ("a", kind, "deny", "r", 1), ("", kind, "allow", "r", 1),
    }  # fmt: skip


def test_two_identifiers_of_full_length_fit(sequencer: Sequencer) -> None:
    _record("a" * 2048, "allow", "r" * 2048)
    sequencer.run_once()
    assert Rollup.objects.filter(agent="a" * 2048, resource="r" * 2048).values_list("n", flat=True).get() == 1


def test_counting_again_gives_the_same(sequencer: Sequencer, happen: Recorder) -> None:
    happen(5)
    sequencer.run_once()
    before = _counted()
    Rollup.objects.update(n=77)
    assert rollups.rebuild() == Entry.objects.count()
    assert _counted() == before


def test_a_batch_that_fails_counts_nothing(sequencer: Sequencer, happen: Recorder) -> None:
    sequencer.run_once()
    before = _counted()
    happen(1)
    with transaction.atomic():
        sequencer.run_once()
        transaction.set_rollback(True)
    assert _counted() == before


def test_hours_long_past_become_days(sequencer: Sequencer) -> None:
    sequencer.run_once()
    Rollup.objects.all().delete()
    day = datetime(2026, 3, 1, tzinfo=UTC)
    kind, other = ("a", "x.y.z", "allow", "r"), ("b", "x.y.z", "deny", "r")
    times = [day.replace(hour=hour, minute=30) for hour in (0, 7, 23)]
    rollups.add([(at, kind) for at in times] + [(times[1], other), (day + timedelta(days=1, hours=4), kind)])
    assert rollups.fold(day + timedelta(days=1, hours=9)) == 1
    assert rollups.fold(day + timedelta(days=1, hours=9)) == 0
    assert _counted() == {(day, *kind, 3), (day, *other, 1), (day + timedelta(days=1, hours=4), *kind, 1)}


def test_tomorrow_never_ends_today(sequencer: Sequencer) -> None:
    sequencer.run_once()
    before = _counted()
    fold_counts()
    assert _counted() == before
