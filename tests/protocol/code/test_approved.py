"""A code with a person's signed approval behind it: one yes, one token, exactly as approved."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import Application, ApprovalRequest, AuthorizationCode, RefreshToken
from aims.authorization.services.redeeming import AT_ONCE
from aims.kit import clock
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import CIBA, Door
from tests.protocol.ciba.conftest import door as door
from tests.support.codes import CODE, REFRESH, Agreed, agreed, claims, error, granted, introspected
from tests.support.oauth_client import BY, POLICY, payment
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-klrc-aiagent-auth"


def approved(door: Door) -> tuple[Agreed, str, str]:
    """Return an agreement, its code, and the id by which the same yes could be polled for."""
    auth_req_id = door.asked()
    door.approve()
    ada = agreed(door.stage)
    Application.objects.update(grant_types=[CODE, REFRESH, CIBA])
    return ada, code_for(ada, door.request()), auth_req_id


def code_for(ada: Agreed, request: ApprovalRequest, **changed: Any) -> str:
    terms: dict[str, Any] = {
        "grant": None,
        "request": request,
        "scope": "openid offline_access",
        "details": tuple(json.loads(payment())),
    }
    return ada.code(**(terms | changed))


@pytest.mark.spec(DRAFT, "10.6", "a signed yes becomes one token, exactly as approved, with the evidence in it")
def test_an_approval_becomes_one_token(door: Door) -> None:
    ada, code, _ = approved(door)
    body, request = granted(ada.redeem(code)), door.request()
    said = claims(body["access_token"])
    assert said["authorization_details"] == json.loads(payment())
    assert said["approval"]["id"] == request.ref
    assert (said["sub"], said["acr"], said["txn"]) == (ada.on.ada.ref, "phr", request.txn)
    assert request.state == "redeemed"
    assert "refresh_token" not in body
    assert not RefreshToken.objects.exists()
    seen = introspected(ada, body["access_token"])
    assert (seen["approval"], seen["acr"]) == (said["approval"], "phr")
    assert request.approved_until_at is not None
    assert said["exp"] <= request.approved_until_at.timestamp()
    assert claims(body["id_token"])["acr"] == "phr"
    assert len(entries("authorization.request.redeemed")) == 1


@pytest.mark.spec(DRAFT, "10.6", "one yes is used once, by whichever door")
def test_a_yes_is_not_redeemed_by_two_doors(door: Door) -> None:
    ada, code, auth_req_id = approved(door)
    second = code_for(ada, door.request())
    granted(ada.redeem(code))
    assert error(door.poll(auth_req_id)) == "invalid_grant"
    assert error(ada.redeem(second)) == "invalid_grant"
    assert AuthorizationCode.objects.filter(consumed_at=None).count() == 0  # what can never be had is used up


def test_a_second_use_ends_the_approved_token(door: Door) -> None:
    ada, code, _ = approved(door)
    body = granted(ada.redeem(code))
    AuthorizationCode.objects.update(consumed_at=clock.now() - AT_ONCE - timedelta(seconds=1))
    assert error(ada.redeem(code)) == "invalid_grant"
    assert introspected(ada, body["access_token"]) == {"active": False}


def test_an_approval_that_has_lapsed_gives_nothing(door: Door) -> None:
    ada, code, _ = approved(door)
    ApprovalRequest.objects.update(approved_until_at=clock.now() - timedelta(seconds=1))
    assert error(ada.redeem(code)) == "invalid_grant"


@pytest.mark.spec(DRAFT, "10.7", "a policy that says no now denies what was approved")
def test_a_policy_that_says_no_now_denies_the_approval(door: Door) -> None:
    ada, code, _ = approved(door)
    rule = '@id("none") @says("No.") forbid (principal, action, resource);'
    load_policy(POLICY + rule, by=BY, now=clock.now())
    assert error(ada.redeem(code)) == "access_denied"
    assert door.request().state == "denied"
    assert error(ada.redeem(code)) == "invalid_grant"


@pytest.mark.parametrize("amount", ["9.99", "10.01", "10.00"])
def test_what_was_approved_can_be_changed_in_neither_direction(door: Door, amount: str) -> None:
    ada, code, _ = approved(door)
    assert error(ada.redeem(code, authorization_details=payment(amount))) == "invalid_authorization_details"
    granted(ada.redeem(code))


def test_userinfo_costs_no_approval(door: Door) -> None:
    ada, code, _ = approved(door)
    body = granted(ada.redeem(code, resource="http://localhost:8000/oauth/userinfo"))
    assert claims(body["access_token"])["scope"] == "openid"
    assert door.request().state == "approved"
