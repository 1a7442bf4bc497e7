"""Tokens that our own authorization server issued, for a yes that a person really signed, at a resource server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.conf import settings

from aims.authorization.endpoints.jwks import jwks
from aims.authorization.services.agents import suspend_agent
from aims.kit import clock
from aims.resource_server import jws
from aims.resource_server.errors import ApprovalUsed, DetailNotCovered, TokenMalformed, TokenNotActive
from aims.resource_server.guard import Guard
from aims.resource_server.keys import keys_of
from aims.resource_server.memory import InProcess
from approvals.models import Receipt
from tests.protocol.ciba.conftest import Door, door
from tests.support.oauth_client import PAY, payment
from tests.unit.resource_server.made import request

__all__ = ["door"]
pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]


@pytest.fixture(autouse=True)
def _fresh_keys() -> None:
    jwks.forget()


def guard(door: Door) -> Guard:
    """Return the payments API's checks: with the published keys, and with introspection over HTTP."""
    server = door.stage.server

    def introspect(token: str) -> Mapping[str, Any]:
        return dict(server.post("/oauth/introspect", server.signed({"token": token})).json())

    return Guard(
        issuer=settings.ISSUER, identifier=PAY, keys=keys_of(server.http.get("/oauth/jwks").json()).get,
        token_algorithms=jws.ALGORITHMS, proof_algorithms=jws.ALGORITHMS, memory=InProcess(began_at=0.0),
        introspect=introspect, takes_bearer=True, nonces=None, skew_s=10,
    )  # fmt: skip


def redeemed(door: Door) -> dict[str, Any]:
    auth_req_id = door.asked()
    door.approve()
    return dict(door.poll(auth_req_id).json())


ORDER: dict[str, Any] = json.loads(payment())[0]


@pytest.mark.spec("AIMS Console formats", "4", "a signed yes is one action, of exactly what was signed")
def test_a_signed_yes_is_one_action(door: Door) -> None:
    checks, now = guard(door), clock.now().timestamp()
    call = checks.admit(request(redeemed(door)["access_token"]), now=now)
    assert (call.agent, call.subject) == (door.courier.client_id, door.stage.ada.ref)
    checks.require_authentication(call, acr_values=("phr", "phrh"), max_age_s=600, now=now)
    with pytest.raises(DetailNotCovered):
        checks.use_approval(call, ORDER | {"creditorName": "Mallory"}, now=now)
    assert checks.use_approval(call, ORDER, now=now) == door.request().ref
    with pytest.raises(ApprovalUsed):
        checks.use_approval(call, ORDER, now=now)


@pytest.mark.spec("draft-ietf-wimse-aims", "10", "an agent that is stopped acts no more, whatever token it holds")
def test_a_stopped_agent_acts_no_more(door: Door) -> None:
    checks, now = guard(door), clock.now().timestamp()
    call = checks.admit(request(redeemed(door)["access_token"]), now=now)
    suspend_agent(door.stage.agent, reason="test", by="cli:test", now=clock.now())
    with pytest.raises(TokenNotActive):
        checks.use_approval(call, ORDER, now=now)


@pytest.mark.spec("RFC 9068", "4", "the issuer's own ID token, receipt and the agent's assertion are no access tokens")
def test_what_else_the_issuer_signed_opens_nothing(door: Door) -> None:
    checks, now = guard(door), clock.now().timestamp()
    identity = redeemed(door)["id_token"]
    receipt = Receipt.objects.latest("pk").jws
    for other in (identity, receipt, door.courier.assertion()):
        with pytest.raises(TokenMalformed):
            checks.admit(request(other), now=now)
