"""``record()``: beside the change, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import write
from audit.canonical import decode
from audit.models import FailureCount, InboxRow
from audit.write import NOBODY, EntryTooLarge, Event, NotAReference, NotInTransaction, UnknownDecision, record


@dataclass(frozen=True, kw_only=True)
class Happened(Event, type="tests.thing.happened", title="A thing happened", tone="info"):
    thing: str
    parts: list[str]


EVENT = Happened(thing="thg_1", parts=[])


class Undone(Exception):
    """What makes a change come to nothing."""


def _change(*, by: str, then: Exception | None) -> None:
    """Change a row and record it, in one transaction."""
    with transaction.atomic():
        FailureCount.objects.create(source="change", code="x", count=1, minute_at=datetime.now(UTC))
        record(EVENT, by=by, facts=NOBODY)
        if then:
            raise then


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_recorded() -> None:
    with pytest.raises(NotInTransaction):
        record(EVENT, by="system", facts=NOBODY)
    assert not InboxRow.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_entry_goes_with_its_change_when_the_change_is_undone() -> None:
    with pytest.raises(Undone):
        _change(by="system", then=Undone())
    assert not InboxRow.objects.exists()
    assert not FailureCount.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_can_not_be_written_takes_its_change_with_it() -> None:
    with pytest.raises(NotAReference):
        _change(by="Ada Lindqvist", then=None)
    assert not FailureCount.objects.exists()


@pytest.mark.django_db
def test_an_entry_costs_one_statement_and_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as asked, transaction.atomic():
        before = len(asked)
        record(EVENT, by="system", facts=NOBODY)
        during = asked.captured_queries[before:]
    assert [query["sql"].partition("(")[0].strip() for query in during] == ["INSERT INTO audit_inboxrow"]


@pytest.mark.django_db
def test_the_cost_does_not_grow_with_the_log() -> None:
    counts = []
    for _ in range(3):
        with CaptureQueriesContext(connection) as asked:
            record(EVENT, by="system", facts=NOBODY)
        counts.append(len(asked))
    assert counts == [1, 1, 1]


@pytest.mark.django_db(transaction=True)
def test_the_sequencer_is_woken_after_the_commit() -> None:
    write.committed.clear()
    with transaction.atomic():
        record(EVENT, by="system", facts=NOBODY)
        assert not write.committed.is_set()
    assert write.committed.is_set()


@pytest.mark.django_db
def test_every_mandatory_field_stands_in_the_bytes_said_or_null() -> None:
    facts = replace(NOBODY, agent="spiffe://example.org/courier", decision="ask", txn="txn_1")
    event_id = record(EVENT, by="spiffe://example.org/courier", facts=facts)
    said = decode(bytes(InboxRow.objects.get().payload))
    assert said.pop("occurred_at").endswith("Z")
    assert said == {
        "v": 1,
        "id": event_id,
        "type": "tests.thing.happened",
        "by": "spiffe://example.org/courier",
        **vars(facts),
        "data": {"thing": "thg_1", "parts": []},
    }


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["Ada Lindqvist", "não", "two\nlines", "x" * 2049, "\u202e"])
def test_a_name_or_a_sentence_never_enters_the_log(text: str) -> None:
    for event, by in ((replace(EVENT, thing=text), "system"), (replace(EVENT, parts=[text]), "system"), (EVENT, text)):
        with pytest.raises(NotAReference):
            record(event, by=by, facts=NOBODY)
    with pytest.raises(NotAReference, match="resource"):
        record(EVENT, by="system", facts=replace(NOBODY, resource=text))
    assert not InboxRow.objects.exists()


@pytest.mark.django_db
def test_a_decision_is_one_of_the_known_words() -> None:
    with pytest.raises(UnknownDecision):
        record(EVENT, by="system", facts=replace(NOBODY, decision="maybe"))


@pytest.mark.django_db
def test_an_entry_over_16_kib_is_refused_and_one_below_is_taken() -> None:
    record(replace(EVENT, parts=["x" * 1000] * 15), by="system", facts=NOBODY)
    with pytest.raises(EntryTooLarge):
        record(replace(EVENT, parts=["x" * 1000] * 17), by="system", facts=NOBODY)


def test_two_events_cannot_have_one_type() -> None:
    with pytest.raises(AssertionError, match="two events"):

        class Again(Event, type="tests.thing.happened", title="Again"):
            pass


def test_ids_sort_by_time_and_are_of_version_7() -> None:
    one, other = write.new_event_id(), write.new_event_id()
    assert one != other and one[14] == "7" and one[19] in "89ab" and one[:8] <= other[:8]


@pytest.mark.django_db
def test_failures_of_one_source_become_one_entry_a_minute_without_its_address() -> None:
    for _ in range(3):
        write.count_failure("203.0.113.7", "invalid_client")
    write.count_failure("203.0.113.8", "invalid_client")
    assert write.flush_failures(datetime.now(UTC) - timedelta(minutes=2)) == 0
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert write.flush_failures(later) == 2
    assert write.flush_failures(later) == 0
    said = [decode(bytes(row.payload))["data"] for row in InboxRow.objects.all()]
    assert sorted(item["count"] for item in said) == [1, 3]
    assert "203.0.113" not in str(said)


@pytest.mark.django_db
def test_beyond_the_limit_further_sources_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "SOURCES_MAX_PER_MINUTE", 2)
    for number in range(6):
        write.count_failure(f"203.0.113.{number}", "invalid_client")
    assert FailureCount.objects.count() <= 4  # two, "others", and one more if the minute turns
    assert FailureCount.objects.filter(source="others").exists()
