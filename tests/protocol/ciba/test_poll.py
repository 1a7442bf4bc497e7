"""What the token endpoint answers to polls. Black box over HTTP; the person decides by the rooms' own verbs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from aims.authorization.models import AccessToken, ApprovalRequest
from aims.authorization.services.agents import suspend_agent
from aims.authorization.services.requests import cancel, expire_due
from aims.authorization.services.subjects import person_of
from aims.kit import clock, jose
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import Door, error_of
from tests.support.oauth_client import PAY, POLICY, Machine, payment

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("CIBA Core 1.0", "11"),
]
DENY_ALL = '@id("no") forbid (principal, action, resource);'


def claims_of(token: str) -> dict[str, object]:
    return dict(jose.parse(token, algorithms=frozenset({"ES256"}), typ=("at+jwt", "jwt")).claims)


def test_a_poll_before_the_decision_is_pending(door: Door) -> None:
    answer = door.poll(door.asked())
    assert error_of(answer) == (400, "authorization_pending")
    assert answer["Retry-After"] == "5"


def test_polling_too_fast_slows_down_for_good(door: Door) -> None:
    auth_req_id = door.asked()
    door.poll(auth_req_id)
    early = door.poll(auth_req_id)
    assert (error_of(early), early["Retry-After"]) == ((400, "slow_down"), "10")
    with clock.shifted(timedelta(seconds=7)):
        assert error_of(door.poll(auth_req_id)) == (400, "slow_down")
    with clock.shifted(timedelta(seconds=23)):
        assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")
    assert door.request().polls == 4


def test_a_yes_becomes_one_token(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    body = door.poll(auth_req_id).json()
    assert body["authorization_details"] == json.loads(payment())
    assert (body["token_type"], 0 < body["expires_in"] <= 300) == ("Bearer", True)
    claims = claims_of(body["access_token"])
    assert (claims["aud"], claims["sub"], claims["acr"]) == (PAY, door.stage.ada.ref, "phrh")
    assert claims["approval"]["id"] == door.request().ref  # type: ignore[index]
    assert "refresh_token" not in body
    identity = claims_of(body["id_token"])
    assert identity["aud"] == door.courier.client_id
    assert person_of(str(identity["sub"]), door.stage.agent) == door.stage.ada
    assert error_of(door.poll(auth_req_id)) == (400, "invalid_grant")
    assert AccessToken.objects.filter(request=door.request()).count() == 1


def test_an_id_token_names_the_person_next_time(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    hint = door.poll(auth_req_id).json()["id_token"]
    door.asked(login_hint=None, id_token_hint=hint)


def test_a_token_never_outlives_the_approval(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    with clock.shifted(timedelta(seconds=280)):
        assert 0 < door.poll(auth_req_id).json()["expires_in"] <= 20


def test_an_approval_that_was_not_used_in_time_is_expired(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    with clock.shifted(timedelta(seconds=301)):
        assert error_of(door.poll(auth_req_id)) == (400, "expired_token")
        assert expire_due(now=clock.now()) == 1
        assert error_of(door.poll(auth_req_id)) == (400, "expired_token")


def test_a_no_is_access_denied(door: Door) -> None:
    auth_req_id = door.asked()
    door.deny()
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")


def test_nobody_answering_is_expired_token_before_and_after_the_sweep(door: Door) -> None:
    auth_req_id = door.asked(requested_expiry="10")
    with clock.shifted(timedelta(seconds=11)):
        assert error_of(door.poll(auth_req_id)) == (400, "expired_token")
        assert expire_due(now=clock.now()) == 1
        assert error_of(door.poll(auth_req_id)) == (400, "expired_token")


def test_a_withdrawn_request_is_access_denied(door: Door) -> None:
    auth_req_id = door.asked()
    door.courier.post("/oauth/revoke", door.courier.signed({"token": auth_req_id}))
    assert door.request().state == "cancelled"
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")


def test_another_client_gets_invalid_grant_and_spoils_nothing(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    assert error_of(door.poll(auth_req_id, machine=door.stage.server))[0] in (400, 401)
    assert door.poll(auth_req_id).status_code == 200


@pytest.mark.parametrize("auth_req_id", ["unknown", "x" * 300])
def test_an_unknown_id_is_invalid_grant(door: Door, auth_req_id: str) -> None:
    assert error_of(door.poll(auth_req_id)) == (400, "invalid_grant")


def test_a_missing_id_is_invalid_request(door: Door) -> None:
    assert error_of(door.poll("")) == (400, "invalid_request")


def test_without_an_assertion_nothing_is_said(door: Door) -> None:
    nobody = Machine(door.courier.client_id)
    assert error_of(door.poll(door.asked(), machine=nobody)) == (401, "invalid_client")


def test_a_policy_that_now_denies_ends_an_approved_request(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    load_policy(DENY_ALL, by="cli:test", now=clock.now())
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")
    assert door.request().state == "denied"


def test_a_policy_that_now_asks_others_supersedes(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    load_policy(POLICY.replace('@ask("subject")', '@ask("group:finance")'), by="cli:test", now=clock.now())
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")
    assert door.request().state == "superseded"


def test_a_suspension_withdraws_what_was_approved(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    suspend_agent(door.stage.agent, reason="test", by="cli:test", now=clock.now())
    assert door.request().state == "cancelled"
    assert error_of(door.poll(auth_req_id)) == (401, "invalid_client")


def test_twenty_polls_at_once_never_break_anything(door: Door) -> None:
    auth_req_id = door.asked()
    seen = {error_of(door.poll(auth_req_id)) for _ in range(20)}
    assert seen == {(400, "authorization_pending"), (400, "slow_down")}
    cancel(ApprovalRequest.objects.get(), by="cli:test", reason="client", now=clock.now())
