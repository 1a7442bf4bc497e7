"""``record_alone()``: what changed nothing else is recorded in a transaction of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction

from audit import write
from audit.canonical import decode
from audit.models import InboxRow
from audit.write import NOBODY, EntryTooLarge, FailuresCounted, NotAReference, UnknownDecision, record_alone

EVENT = FailuresCounted(source="src_1", code="invalid_client", count=1, minute="2026-11-23T21:00:00.000Z")


@pytest.mark.django_db(transaction=True)
def test_a_reading_is_durable_when_the_call_returns_and_wakes_the_sequencer() -> None:
    write.committed.clear()
    event_id = record_alone(EVENT, by="system", facts=NOBODY)
    assert write.committed.is_set()
    assert decode(bytes(InboxRow.objects.get().payload))["id"] == event_id


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_whose_end_could_undo_it_nothing_is_recorded_alone() -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        record_alone(EVENT, by="system", facts=NOBODY)
    assert not InboxRow.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_may_not_enter_the_log_may_not_enter_it_alone_either() -> None:
    with pytest.raises(NotAReference):
        record_alone(replace(EVENT, source="Ada Lindqvist"), by="system", facts=NOBODY)
    with pytest.raises(UnknownDecision):
        record_alone(EVENT, by="system", facts=replace(NOBODY, decision="maybe"))
    with pytest.raises(EntryTooLarge):
        record_alone(replace(EVENT, minute=["x" * 1000] * 17), by="system", facts=NOBODY)  # type: ignore[arg-type]
    assert not InboxRow.objects.exists()
