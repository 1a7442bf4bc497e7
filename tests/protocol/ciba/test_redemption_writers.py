"""Both writers use up an approval in the same way: one contract, for the statement on PostgreSQL and for its twin."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory

from aims.authentication.client import Client
from aims.authentication.models import SpentProof
from aims.authorization.authenticating import authenticated
from aims.authorization.models import AccessToken, ApprovalRequest, BackchannelRequest, GrantUse
from aims.authorization.services import redemption_row
from aims.authorization.services.grants import NarrowGrant, narrow_grant
from aims.authorization.services.issuing import OUTDATED, Issue
from aims.authorization.services.requests import cancel
from aims.identifier.models import Agent
from aims.kit import clock
from aims.people.models import RoleHolding, User
from aims.policy.models import PolicyVersion
from audit.models import InboxRow
from tests.protocol.ciba.conftest import CIBA, Door
from tests.protocol.oauth.test_writers import LOST, WON, WRITERS, Write
from tests.protocol.oauth.test_writers import decided as own_behalf
from tests.support.oauth_client import BY

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("CIBA Core 1.0", "10.1", "one approval gives one token, in one write"),
]


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest) -> Write:
    return request.param  # type: ignore[no-any-return]


def client_of(door: Door, auth_req_id: str) -> Client:
    form = door.courier.signed({"grant_type": CIBA, "auth_req_id": auth_req_id})
    signed = {name: (value,) for name, value in form.items()}
    return authenticated(signed, RequestFactory().post("/oauth/token"), now=clock.now())


def decided(door: Door, auth_req_id: str) -> Issue | None:
    """Return the token that a poll with a new proof would write."""
    client = client_of(door, auth_req_id)
    assert client.agent
    held = redemption_row._door(client.agent, auth_req_id)
    assert held
    return redemption_row.decided(client, client.agent, held, now=clock.now())


def approved(door: Door) -> tuple[str, Issue]:
    auth_req_id = door.asked()
    door.approve()
    row = decided(door, auth_req_id)
    assert row
    return auth_req_id, row


def counts() -> tuple[int, ...]:
    redeemed = ApprovalRequest.objects.filter(state="redeemed").count()
    return SpentProof.objects.count(), AccessToken.objects.count(), InboxRow.objects.count(), redeemed


def test_it_uses_up_the_approval_with_proof_token_use_and_both_entries(door: Door, write: Write) -> None:
    _id, row = approved(door)
    before = counts()
    assert write([row]) == [WON]
    assert counts() == (before[0] + 1, before[1] + 1, before[2] + 2, 1)
    token, request = AccessToken.objects.get(jti=row.prepared.jti), door.request()
    assert {name: getattr(token, name) for name in row.prepared.values()} == row.prepared.values()
    assert (token.request_id, request.redeemed_at) == (request.pk, row.prepared.now)
    assert [use.grant_id for use in GrantUse.objects.filter(jti=token.jti)] == [door.stage.agent.grants.get().pk]
    told = [json.loads(bytes(each.payload)) for each in InboxRow.objects.order_by("pk")][-2:]
    assert [entry["type"] for entry in told] == ["authorization.token.issued", "authorization.request.redeemed"]
    assert {entry["data"]["jti"] for entry in told} == {token.jti}
    assert {entry["txn"] for entry in told} == {request.txn}


def test_an_approval_that_was_used_up_leaves_the_proof_to_others(door: Door, write: Write) -> None:
    auth_req_id, row = approved(door)
    other = decided(door, auth_req_id)
    assert other
    write([row])
    before = counts()
    assert write([other]) == [OUTDATED]
    assert counts() == before


def test_two_of_one_batch_for_one_approval_get_one_token(door: Door, write: Write) -> None:
    auth_req_id, row = approved(door)
    other, before = decided(door, auth_req_id), counts()
    assert other
    assert write([row, other]) == [WON, OUTDATED]
    assert counts() == (before[0] + 1, before[1] + 1, before[2] + 2, 1)


def test_a_proof_that_was_spent_does_not_use_up_the_approval(door: Door, write: Write) -> None:
    auth_req_id, row = approved(door)
    spent = own_behalf(door.stage)
    write([spent])
    before = counts()
    assert write([replace(row, proofs=spent.proofs)]) == [LOST]
    assert (counts(), door.request().state) == (before, "approved")
    assert door.poll(auth_req_id).status_code == 200


def test_it_shares_a_batch_with_tokens_that_nobody_was_asked_for(door: Door, write: Write) -> None:
    _id, row = approved(door)
    rows = [own_behalf(door.stage), row, own_behalf(door.stage)]
    before = counts()
    assert write(rows) == [WON] * 3
    assert counts() == (before[0] + 3, before[1] + 3, before[2] + 4, 1)
    assert AccessToken.objects.exclude(request=None).get().jti == row.prepared.jti


def test_another_agents_approval_gives_nothing(door: Door, write: Write) -> None:
    _id, row = approved(door)
    thief = Agent.objects.create(
        ref="agt_thief", identifier="spiffe://acme.example/thief", owner=door.stage.ada,
        trust_domain=door.stage.agent.trust_domain, state_since_at=clock.now(), registered_at=clock.now(),
    )  # fmt: skip
    before = counts()
    assert write([replace(row, seen=replace(row.seen, agent=thief))]) == [OUTDATED]
    assert counts() == before


def _cancelled(door: Door) -> None:
    cancel(door.request(), by=BY, reason="client", now=clock.now())


def _lapsed(door: Door) -> None:
    ApprovalRequest.objects.update(approved_until_at=clock.now() - timedelta(seconds=1))


def _narrowed(door: Door) -> None:
    grant = door.stage.agent.grants.get()
    left = NarrowGrant(
        actions=("payments.create",),
        detail_types=tuple(grant.detail_types),
        until_at=grant.until_at,
        budget={},
        depth=0,
    )
    narrow_grant(grant, left, by=BY, now=clock.now())


CHANGES: dict[str, Callable[[Door], Any]] = {
    "agent suspended": lambda door: Agent.objects.update(state="suspended"),
    "agent or its grants changed": lambda door: Agent.objects.update(version=99),
    "grant narrowed": _narrowed,
    "request withdrawn": _cancelled,
    "approval lapsed": _lapsed,
    "approver without the role": lambda door: RoleHolding.objects.update(until_at=clock.now()),
    "approver gone": lambda door: User.objects.update(is_active=False),
    "resource changed": lambda door: type(door.stage.pay).objects.update(version=99),
    "resource retired": lambda door: type(door.stage.pay).objects.update(retired_at=clock.now()),
    "policy replaced": lambda door: PolicyVersion.objects.update(is_active=False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_has_changed_since_it_was_decided_writes_nothing(door: Door, write: Write, what: str) -> None:
    _id, row = approved(door)
    CHANGES[what](door)
    before = counts()
    assert write([row]) == [OUTDATED]
    assert counts() == before


def test_a_redemption_takes_this_way_and_anything_less_simple_the_ordinary_one(door: Door) -> None:
    auth_req_id, _row = approved(door)
    BackchannelRequest.objects.update(jkt="k" * 43)  # another key asked
    assert decided(door, auth_req_id) is None
    BackchannelRequest.objects.update(jkt="")
    RoleHolding.objects.update(until_at=clock.now())
    assert decided(door, auth_req_id) is None
    assert door.poll(auth_req_id).json()["error"] == "access_denied"
