"""Both writers of tokens write the same: one contract, for the statement on PostgreSQL and for its twin of the ORM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test import RequestFactory

from aims.authentication import replay
from aims.authentication.dpop import KeyProof
from aims.authentication.errors import DpopReplayed, ProofForgotten, ProofReplayed
from aims.authentication.models import SpentProof
from aims.authentication.replay import Proof
from aims.authorization.authenticating import authenticated
from aims.authorization.errors import Outdated
from aims.authorization.models import AccessToken, GrantUse
from aims.authorization.services import issuing
from aims.authorization.services.issuing import OUTDATED, Issue, Outcome
from aims.authorization.services.own_behalf import decide
from aims.authorization.target import read_target
from aims.identifier.models import Agent
from aims.kit import clock
from aims.policy.models import PolicyVersion
from audit.models import InboxRow
from tests.support.oauth_client import PAY, Stage, stage

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.spec("AIMS Console", "authorization", "proof, token and entry at once"),
]
Write = Callable[[Sequence[Issue]], list[Outcome]]
WON, LOST = Outcome(True, 1, True), Outcome(True, 0, False)


def by_statement(batch: Sequence[Issue]) -> list[Outcome]:
    return issuing.in_one_statement(batch, waits=False)


def by_waiting_statement(batch: Sequence[Issue]) -> list[Outcome]:
    return issuing.in_one_statement(batch, waits=True)


WRITERS: list[Write] = [
    issuing.in_one_transaction,
    *([by_statement, by_waiting_statement] if connection.vendor == "postgresql" else []),
]


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest) -> Write:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


def decided(on: Stage, *, key: str = "") -> Issue:
    """Return a token that is to be written. key: a name for the proof of a DPoP key."""
    now = clock.now()
    signed = {name: (value,) for name, value in on.courier.signed({}).items()}
    client = authenticated(signed, RequestFactory().post("/oauth/token"), now=now)
    if key:
        proof = Proof(client_ref=replay.OF_KEY, jti_hash=key, issued_at=now, expires_at=now + timedelta(60), agent=PAY)
        client = replace(client, key=KeyProof(jkt="k" * 43, proof=proof))
    target = read_target(resources=[PAY], scope="accounts.read", details=None)
    return decide(client, target, now=now)


def counts() -> tuple[int, int, int]:
    return SpentProof.objects.count(), AccessToken.objects.count(), InboxRow.objects.count()


def test_it_stores_proof_token_use_and_entry(on: Stage, write: Write) -> None:
    row, before = decided(on), counts()
    assert write([row]) == [WON]
    stored = AccessToken.objects.get(jti=row.prepared.jti)
    assert {name: getattr(stored, name) for name in row.prepared.values()} == row.prepared.values()
    assert (stored.agent_id, stored.request_id, stored.token, stored.revoked_at) == (on.agent.pk, None, "", None)
    assert bytes(InboxRow.objects.latest("pk").payload) == row.payload
    assert [use.grant_id for use in GrantUse.objects.filter(jti=row.prepared.jti)] == [on.agent.grants.get().pk]
    assert counts() == tuple(count + 1 for count in before)
    assert issuing.find([row, decided(on)]) == [WON, None]


def test_a_proof_that_was_spent_writes_nothing(on: Stage, write: Write) -> None:
    row = decided(on)
    write([row])
    before = counts()
    (outcome,) = write([row])
    assert outcome == LOST
    assert counts() == before
    with pytest.raises(ProofReplayed):
        issuing.judge(row, outcome)


def test_of_equal_proofs_in_one_batch_exactly_the_first_wins(on: Stage, write: Write) -> None:
    one, other = decided(on), decided(on)
    twin = replace(one, prepared=decided(on).prepared)
    before = counts()
    assert write([other, one, twin, twin]) == [WON, WON, LOST, LOST]
    assert counts() == tuple(count + 2 for count in before)
    assert not AccessToken.objects.filter(jti=twin.prepared.jti).exists()


def test_a_key_proof_that_was_spent_costs_the_clients_own(on: Stage, write: Write) -> None:
    row, thief = decided(on, key="a"), decided(on, key="a")
    assert write([row]) == [Outcome(True, 2, True)]
    (outcome,) = write([thief])
    assert outcome == Outcome(True, 1, True)
    with pytest.raises(DpopReplayed):
        issuing.judge(thief, outcome)
    assert SpentProof.objects.filter(jti_hash=thief.proofs[0].jti_hash).exists()
    assert not AccessToken.objects.filter(jti=thief.prepared.jti).exists()


def test_of_equal_key_proofs_in_one_batch_the_first_wins_and_both_pay(on: Stage, write: Write) -> None:
    rows = [decided(on, key="a"), decided(on, key="a"), decided(on, key="b")]
    assert write(rows) == [Outcome(True, 2, True), Outcome(True, 1, True), Outcome(True, 2, True)]
    assert SpentProof.objects.count() == 5
    assert AccessToken.objects.count() == 2


def test_a_request_that_is_outdated_leaves_its_proofs_to_others(on: Stage, write: Write) -> None:
    row = decided(on, key="a")
    agent = Agent(pk=row.seen.agent.pk, ref=row.seen.agent.ref, version=99)
    old = replace(row, seen=replace(row.seen, agent=agent))
    before = counts()
    assert write([old, row]) == [OUTDATED, Outcome(True, 2, True)]
    assert counts() == (before[0] + 2, before[1] + 1, before[2] + 1)
    with pytest.raises(Outdated):
        issuing.judge(old, OUTDATED)


@pytest.mark.parametrize("what", ["agent", "state", "resource", "retired", "policy"])
def test_whatever_has_changed_since_it_was_seen_writes_nothing(on: Stage, write: Write, what: str) -> None:
    row, before = decided(on), counts()
    if what == "agent":
        Agent.objects.filter(pk=on.agent.pk).update(version=99)
    elif what == "state":
        Agent.objects.filter(pk=on.agent.pk).update(state="suspended")
    elif what == "policy":
        PolicyVersion.objects.update(is_active=False)
    else:
        field = {"version": 99} if what == "resource" else {"retired_at": clock.now()}
        type(on.pay).objects.filter(pk=on.pay.pk).update(**field)
    assert write([row]) == [OUTDATED]
    assert counts() == before


def test_a_proof_from_before_our_memory_is_not_spent(on: Stage, write: Write) -> None:
    row = decided(on)
    with connection.cursor() as cursor:  # what a crash of PostgreSQL leaves
        cursor.execute("DELETE FROM authentication_memory")
    before = counts()
    (outcome,) = write([row])
    assert outcome == LOST
    assert counts() == before
    with pytest.raises(ProofForgotten):
        issuing.judge(row, outcome)


def test_a_whole_batch_is_written_in_one_transaction(on: Stage, write: Write) -> None:
    rows, before = [decided(on) for _ in range(9)], counts()
    assert write(rows) == [WON] * 9
    assert counts() == tuple(count + 9 for count in before)
    assert {row.prepared.jti for row in rows} <= set(AccessToken.objects.values_list("jti", flat=True))
