"""DPoP from the backchannel request to the token: the key that asked is the key that redeems. Spec: RFC 9449 §10."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from aims.authorization.models import AccessToken, ApprovalRequest, BackchannelRequest
from aims.kit import clock
from aims.kit.kept import forget_all
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_edges import claims_of
from tests.support.dpop import Key
from tests.support.oauth_client import BY, POLICY

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
BOUND_ONLY = POLICY + '@id("bound-only") forbid (principal, action, resource) when { context.binding == "none" };'


def ask(door: Door, key: Key | None, **changed: Any) -> Any:
    extra = {"HTTP_DPOP": key.proof("/oauth/bc-authorize")} if key else {}
    return door.courier.post("/oauth/bc-authorize", door.courier.signed(door.form(**changed)), **extra)


def poll(door: Door, auth_req_id: str, key: Key | None) -> Any:
    extra = {"HTTP_DPOP": key.proof()} if key else {}
    return door.courier.post(
        "/oauth/token", door.courier.signed({"grant_type": CIBA, "auth_req_id": auth_req_id}), **extra
    )


@pytest.mark.spec("RFC 9449", "10", "only the key that asked redeems")
def test_only_the_key_that_asked_redeems(door: Door) -> None:
    key = Key()
    auth_req_id = ask(door, key).json()["auth_req_id"]
    assert error_of(poll(door, auth_req_id, None)) == (400, "invalid_grant")
    assert error_of(poll(door, auth_req_id, Key())) == (400, "invalid_grant")
    assert error_of(poll(door, auth_req_id, key)) == (400, "authorization_pending")
    door.approve()
    assert error_of(poll(door, auth_req_id, None)) == (400, "invalid_grant")
    assert error_of(poll(door, auth_req_id, Key())) == (400, "invalid_grant")
    answer = poll(door, auth_req_id, key)  # nobody else has used it up
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "DPoP"
    claims = claims_of(answer.json()["access_token"])
    assert claims["cnf"] == {"jkt": key.jkt}
    assert claims["approval"]["id"] == ApprovalRequest.objects.get().ref


@pytest.mark.spec("RFC 9449", "5", "a proof that comes only with the poll binds the token")
def test_a_key_that_comes_with_the_poll_binds_the_token(door: Door) -> None:
    auth_req_id, key = door.asked(), Key()
    assert error_of(poll(door, auth_req_id, key)) == (400, "authorization_pending")
    door.approve()
    answer = poll(door, auth_req_id, key)
    assert claims_of(answer.json()["access_token"])["cnf"] == {"jkt": key.jkt}


@pytest.mark.spec("RFC 9449", "11.1", "a proof counts once")
def test_a_replayed_proof_is_no_poll(door: Door) -> None:
    key = Key()
    auth_req_id, proof = ask(door, key).json()["auth_req_id"], key.proof()
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    first = door.courier.post("/oauth/token", door.courier.signed(form), HTTP_DPOP=proof)
    assert error_of(first) == (400, "authorization_pending")
    BackchannelRequest.objects.update(last_poll_at=None)
    again = door.courier.post("/oauth/token", door.courier.signed(form), HTTP_DPOP=proof)
    assert error_of(again) == (400, "invalid_dpop_proof")
    assert BackchannelRequest.objects.get().polls == 1


@pytest.mark.spec("RFC 9449", "5", "a bad proof opens nothing")
def test_a_bad_proof_opens_nothing(door: Door) -> None:
    signed = door.courier.signed(door.form())
    assert error_of(door.courier.post("/oauth/bc-authorize", signed, HTTP_DPOP=Key().proof())) == (
        400,
        "invalid_dpop_proof",
    )
    assert not ApprovalRequest.objects.exists()
    assert error_of(door.courier.post("/oauth/bc-authorize", signed)) == (401, "invalid_client")  # it was used


@pytest.mark.spec("RFC 9449", "8", "use_dpop_nonce, before anything is consumed")
@override_settings(DPOP_NONCE=True)
def test_a_nonce_is_demanded_before_anything_is_consumed(door: Door) -> None:
    key, signed = Key(), door.courier.signed(door.form())
    first = door.courier.post("/oauth/bc-authorize", signed, HTTP_DPOP=key.proof("/oauth/bc-authorize"))
    assert error_of(first) == (400, "use_dpop_nonce")
    proof = key.proof("/oauth/bc-authorize", nonce=first["DPoP-Nonce"])
    second = door.courier.post("/oauth/bc-authorize", signed, HTTP_DPOP=proof)
    assert second.status_code == 200
    door.approve()
    form = door.courier.signed({"grant_type": CIBA, "auth_req_id": second.json()["auth_req_id"]})
    told = door.courier.post("/oauth/token", form, HTTP_DPOP=key.proof())
    assert error_of(told) == (400, "use_dpop_nonce")
    proof = key.proof(nonce=told["DPoP-Nonce"])
    assert door.courier.post("/oauth/token", form, HTTP_DPOP=proof).status_code == 200


def test_the_policy_may_demand_a_key(door: Door) -> None:
    load_policy(BOUND_ONLY, by=BY, now=clock.now())
    forget_all()
    assert error_of(ask(door, None)) == (403, "access_denied")
    read = {"grant_type": "client_credentials", "resource": "https://pay.example/", "scope": "accounts.read"}
    assert error_of(door.courier.post("/oauth/token", door.courier.signed(read))) == (400, "access_denied")
    key = Key()
    assert door.courier.post("/oauth/token", door.courier.signed(read), HTTP_DPOP=key.proof()).status_code == 200
    auth_req_id = ask(door, key).json()["auth_req_id"]
    door.approve()
    assert poll(door, auth_req_id, key).status_code == 200


def test_a_policy_that_demands_a_key_meanwhile_ends_what_was_asked_without(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    load_policy(BOUND_ONLY, by=BY, now=clock.now())
    assert error_of(poll(door, auth_req_id, None)) == (400, "access_denied")
    assert not AccessToken.objects.exists()
