"""Tokens that share a commit share a fate: each way to fail, on a real PostgreSQL, and what the others get.

Where a test could pass without the thing that it is about, the same test runs without that thing and must fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, DataError, OperationalError, connection, transaction

from aims.authentication import replay
from aims.authorization.models import AccessToken
from aims.authorization.services import gathering, issuing
from aims.authorization.services.issuing import OUTDATED, Issue, Outcome
from aims.identifier import services as identifier
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit import committer as kit
from aims.kit.committer import Committer, Unavailable
from aims.kit.prepared import rows
from tests.protocol.oauth.test_writers import WON, decided
from tests.support.oauth_client import BY, Stage, stage
from tests.support.racing import at_once

pytestmark = [pytest.mark.scaled, pytest.mark.django_db(transaction=True)]
SORTED = "ORDER BY client_ref, jti_hash"
Together = Committer[Issue, Outcome]


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


@pytest.fixture
def committer(on: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Together]:
    monkeypatch.setattr(kit, "RETRY_S", 0.02)
    yield gathering.start()
    gathering.stop()


def submitted(committer: Together, batch: Sequence[Issue]) -> list[Any]:
    """Submit all at once from as many threads; return each outcome or error."""

    def submit(row: Issue) -> Any:
        try:
            return committer.submit(row)
        except Exception as error:
            return type(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(batch)) as pool:
        return list(pool.map(submit, batch))


def stored(batch: Sequence[Issue]) -> int:
    return sum(found is not None for found in issuing.find(batch))


def again(row: Issue, on: Stage, **changed: Any) -> Issue:
    """Return the same proof with another token; changed: of the token's facts."""
    other = decided(on).prepared
    return replace(row, prepared=replace(other, facts=replace(other.facts, **changed)))


def test_one_assertion_on_many_connections_wins_once(committer: Together, on: Stage) -> None:
    for _round in range(5):
        row = decided(on)
        batch = [row, *(again(row, on) for _ in range(15))]
        outcomes = submitted(committer, batch)
        assert outcomes.count(WON) == stored(batch) == 1


@pytest.mark.parametrize("bad", [{"txn": "t" * 41}, {"scope": "nul\0"}])
def test_a_row_that_postgresql_refuses_fails_alone(
    committer: Together, on: Stage, bad: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [decided(on) for _ in range(15)]
    culprit = again(decided(on), on, **bad)
    release, write = threading.Event(), issuing.in_one_statement

    def held(batch: Sequence[Issue], *, waits: bool) -> list[Outcome]:
        release.wait(5)
        return write(batch, waits=waits)

    monkeypatch.setattr(issuing, "in_one_statement", held)
    threading.Timer(0.3, release.set).start()
    assert submitted(committer, [*batch, culprit]) == [WON] * 15 + [DataError]
    assert stored([*batch, culprit]) == 15
    with pytest.raises(DatabaseError):  # without halving, all would have had that
        write([*batch, culprit], waits=False)


def _ordered(on: Stage) -> list[Issue]:
    made = [decided(on) for _ in range(3)]
    return [
        replace(row, proofs=[replace(row.proofs[0], jti_hash=name * 64)]) for row, name in zip(made, "abc", strict=True)
    ]


def _in_turn(statement: str, batch: Sequence[Issue]) -> int:
    return sum(fresh for _n, fresh, _own in rows(statement, (issuing.parameter_of(batch),)))


@pytest.mark.parametrize("order", [SORTED, "ORDER BY n"], ids=["sorted", "as they came"])
def test_two_processes_with_the_same_proofs_in_opposite_order_never_deadlock(on: Stage, order: str) -> None:
    """A third transaction holds the middle proof until both wait, one for it and one for either: then it lets go."""
    assert SORTED in issuing.statement(waits=False)
    statement = issuing.statement(waits=False).replace(SORTED, order)
    batch, has_middle = _ordered(on), threading.Event()

    def middle() -> None:
        with transaction.atomic():
            replay.remember(batch[1].proofs[0])
            has_middle.set()
            _until_waiting(2)
            transaction.set_rollback(True)

    def behind(turned: Sequence[Issue]) -> Callable[[], Any]:
        def run() -> Any:
            has_middle.wait(10)
            try:
                return _in_turn(statement, turned)
            except OperationalError as error:
                return getattr(error.__cause__, "sqlstate", None)

        return run

    _nothing, one, other = at_once(middle, behind(batch), behind([again(row, on) for row in reversed(batch)]))
    if order == SORTED:
        assert sorted([one, other]) == [0, 3]
    else:
        assert "40P01" in (one, other)


def _until_waiting(count: int) -> None:
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute(
                "SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)"
            )  # else the same until this transaction ends
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] == count:
                return
    raise AssertionError("they do not wait")


def test_a_deadlock_of_the_database_runs_once_more(
    committer: Together, on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, times = issuing.in_one_statement, []

    def first_deadlocks(batch: Sequence[Issue], *, waits: bool) -> list[Outcome]:
        times.append(len(batch))
        if len(times) == 1:
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$")
        return write(batch, waits=waits)

    monkeypatch.setattr(issuing, "in_one_statement", first_deadlocks)
    assert committer.submit(decided(on)) == WON
    assert times == [1, 1]


@pytest.mark.parametrize("is_written", [True, False], ids=["behind the commit", "before it"])
def test_a_connection_that_is_lost_around_the_commit_is_answered_by_what_is_stored(
    committer: Together, on: Stage, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    write, calls = issuing.in_one_statement, []

    def lost(batch: Sequence[Issue], *, waits: bool) -> list[Outcome]:
        calls.append(1)
        if len(calls) > 1:
            return write(batch, waits=waits)
        if is_written:
            write(batch, waits=waits)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("the connection is gone")

    monkeypatch.setattr(issuing, "in_one_statement", lost)
    row = decided(on)
    assert submitted(committer, [row]) == [WON if is_written else Unavailable]
    assert stored([row]) == is_written
    _until_ready(committer)
    assert committer.submit(decided(on)) == WON


def _until_ready(committer: Together) -> None:
    for _ in range(500):
        if committer.is_ready:
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never was ready again")


def test_a_database_that_hangs_refuses_in_time_and_recovers(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_SESSION", "SET statement_timeout = 200; SET synchronous_commit = on")
    monkeypatch.setattr(kit, "RETRY_S", 0.02)
    committer, row = gathering.start(), decided(on)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE authorization_accesstoken IN ACCESS EXCLUSIVE MODE")
            with ThreadPoolExecutor(1) as pool:
                # Looking it up hangs as well, and ends as well.
                assert isinstance(pool.submit(committer.submit, row).exception(10), Unavailable)
        _until_ready(committer)
        assert committer.submit(row) == WON  # nothing was written, so the proof was good still
    finally:
        gathering.stop()


@pytest.mark.parametrize("waits", [False, True], ids=["as it is", "if it waited"])
def test_an_agent_that_is_being_changed_holds_nobody_else_up(on: Stage, waits: bool) -> None:
    row, other = decided(on), decided(on)
    busy = identifier.register_agent(
        identifier.RegisterAgent(
            identifier="spiffe://acme.example/busy", name="Busy", purpose="x", contact="a@b.example", owner=on.ada
        ),
        by=BY,
        now=clock.now(),
    )
    held = replace(other, seen=replace(other.seen, agent=busy))

    def write() -> list[Outcome]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = 300")
            return issuing.in_one_statement([held, row], waits=waits)
        finally:
            connection.close()

    with transaction.atomic():
        Agent.objects.select_for_update(no_key=True).get(pk=busy.pk)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(write)
            if waits:
                assert isinstance(answer.exception(10), OperationalError)
            else:
                assert answer.result(10) == [OUTDATED, WON]


def test_the_connection_is_its_own_and_waits_for_the_disk(committer: Together, on: Stage) -> None:
    said: list[Any] = []

    class Asks(gathering._Tokens):
        def write(self, rows: Sequence[Issue]) -> Sequence[Outcome]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('synchronous_commit'), current_setting('statement_timeout')")
                said.append((*cursor.fetchone(), "pool" in connection.settings_dict["OPTIONS"]))
            return super().write(rows)

    other: Together = Committer(Asks(), name="asks")
    assert other.submit(decided(on)) == WON
    other.close()
    assert said == [("on", "5s", False)]


def test_a_revocation_counts_from_its_commit_on(committer: Together, on: Stage) -> None:
    row, before = decided(on), AccessToken.objects.count()
    identifier.suspend(on.agent, reason="test", by=BY, now=clock.now())
    assert committer.submit(row) == OUTDATED
    assert AccessToken.objects.count() == before
