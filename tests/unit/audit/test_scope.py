"""What a scoped reader sees of the log: their part of it, and no sign of the rest."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.test import RequestFactory

from audit import endpoints, read
from audit.access import EVERYTHING, NOTHING, Scope, scope_of, scope_of_caller
from audit.errors import NoSuchEntry
from audit.models import Entry
from audit.read import EntryView, Filter
from audit.sequencer import Sequencer
from audit.write import NOBODY, FailuresCounted, record

COURIER, MAGPIE = "spiffe://example.org/courier", "spiffe://example.org/magpie"
ONLY_COURIER = Scope(agents=frozenset({COURIER}), since_at=None, until_at=None)
MIDNIGHT = datetime(2026, 11, 28, tzinfo=UTC)


@dataclass
class Reader:
    roles: frozenset[str]
    limits: Any = None
    is_authenticated: bool = True

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def log_limits(self) -> Any:
        return self.limits


@dataclass
class Limits:
    agents: list[str] | None = None
    since_at: datetime | None = None
    until_at: datetime | None = None


@dataclass
class Caller:
    person: Reader | None


@pytest.fixture
def two_agents(sequencer: Sequencer) -> Sequencer:
    """Two entries about no agent (the log's birth among them), then one of Courier, Magpie, Courier in one transaction."""
    event = FailuresCounted(source="src_1", code="c", count=1, minute="m")
    with transaction.atomic():
        record(event, by="system", facts=NOBODY)
        for agent in (COURIER, MAGPIE, COURIER):
            record(event, by=agent, facts=replace(NOBODY, agent=agent, txn="txn_1"))
    sequencer.run_once()
    return sequencer


def test_readers_have_the_part_of_the_log_that_their_seat_gives() -> None:
    limits = Limits(agents=[COURIER], since_at=MIDNIGHT)
    assert scope_of(Reader(frozenset({"auditor"}))) == EVERYTHING
    assert scope_of(Reader(frozenset({"admin", "auditor"}), limits)) == EVERYTHING, "admins answer for who is bound"
    assert scope_of(Reader(frozenset({"auditor"}), limits)) == Scope(
        agents=frozenset({COURIER}), since_at=MIDNIGHT, until_at=None
    )
    assert scope_of(Reader(frozenset({"approver"}))) == scope_of(None) == NOTHING
    assert scope_of(Reader(frozenset({"auditor"}), is_authenticated=False)) == NOTHING


def test_a_machine_reads_no_more_than_the_person_it_acts_for() -> None:
    assert scope_of_caller(Caller(None)) == EVERYTHING
    bound = Reader(frozenset({"auditor"}), Limits(agents=[COURIER]))
    assert scope_of_caller(Caller(bound)) == ONLY_COURIER
    with pytest.raises(PermissionDenied):
        scope_of_caller(Caller(Reader(frozenset({"approver"}))))


def test_a_period_is_cut_at_midnight_since_counts_by_the_day_would_tell_the_rest() -> None:
    with pytest.raises(AssertionError):
        Scope(agents=None, since_at=MIDNIGHT + timedelta(hours=12), until_at=None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "scope",
    [
        EVERYTHING,
        NOTHING,
        ONLY_COURIER,
        Scope(agents=frozenset({COURIER, MAGPIE}), since_at=None, until_at=None),
        Scope(agents=None, since_at=MIDNIGHT + timedelta(days=9999), until_at=None),
        Scope(agents=None, since_at=None, until_at=MIDNIGHT - timedelta(days=9999)),
        Scope(
            agents=frozenset({MAGPIE}),
            since_at=MIDNIGHT - timedelta(days=9999),
            until_at=MIDNIGHT + timedelta(days=9999),
        ),
    ],
)
def test_what_is_restricted_and_what_is_covered_are_one_answer(two_agents: Sequencer, scope: Scope) -> None:
    everything = list(Entry.objects.order_by("index"))
    assert list(scope.restrict(Entry.objects.order_by("index"))) == [row for row in everything if scope.covers(row)]
    assert scope.is_whole == (scope == EVERYTHING)


@pytest.mark.django_db
def test_an_entry_outside_is_absent_whichever_way_it_is_asked_for(two_agents: Sequencer) -> None:
    scope = ONLY_COURIER
    assert [entry.index for entry in read.latest(Filter(), scope=scope)] == [4, 2]
    assert not read.latest(Filter(agent=MAGPIE), scope=scope)
    assert [entry.index for entry in read.after(-1, scope=scope)] == [2, 4]
    assert [entry.index for entry in read.entries_of_txn("txn_1", scope=scope)] == [2, 4]
    assert read.count_after(1, scope=scope) == 2 and read.count_after(1, scope=EVERYTHING) == 3
    for ask in (read.entry, read.entry_bytes, read.tlog_proof):
        ask(4, scope=scope)
        for index in (0, 1, 3):
            with pytest.raises(NoSuchEntry) as outside:
                ask(index, scope=scope)
            with pytest.raises(NoSuchEntry) as nowhere:
                ask(99, scope=scope)
            assert str(outside.value).replace(str(index), "99") == str(nowhere.value), "one answer for both"


@pytest.mark.django_db
def test_a_bundle_is_given_to_who_may_read_all_of_it(two_agents: Sequencer) -> None:
    def bundle(limits: Limits | None) -> bytes:
        request = RequestFactory().get("/log/tile/entries/000.p/5")
        request.user = Reader(frozenset({"auditor"}), limits)  # type: ignore[assignment]
        return endpoints.bundle(request, "000", "5").content

    whole = bundle(None)
    assert whole == bundle(Limits(since_at=MIDNIGHT - timedelta(days=9999)))
    with pytest.raises(Http404):
        bundle(Limits(agents=[COURIER]))


def test_no_reader_can_forget_the_scope() -> None:
    """Whoever returns entries, their bytes or a count of them takes the scope as a keyword without default."""
    for name, ask in vars(read).items():
        if not inspect.isfunction(ask) or name.startswith("_") or name == "readings" or ask.__module__ != read.__name__:
            continue
        returned = str(inspect.signature(ask).return_annotation)
        if any(word in returned for word in (EntryView.__name__, "bytes")) or name in {"tlog_proof", "count_after"}:
            scope = inspect.signature(ask).parameters["scope"]
            assert scope.kind is scope.KEYWORD_ONLY and scope.default is scope.empty, name
