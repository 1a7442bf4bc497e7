"""Decisions that come too late or change nothing else: requests that are over, and the noes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings

from aims.authorization.models import ApprovalRequest
from aims.authorization.request_errors import AgentNotActive, AlreadyDecided, NotYours, PolicyChanged, RequestOver
from aims.authorization.services import requests
from aims.credentials.queries import published_jwks
from aims.identifier.services import suspend
from aims.kit import clock
from aims.people.models import Passkey
from aims.policy.services import load_policy
from approvals import errors, services
from approvals.models import Decision, Receipt
from approvals.verify import verify_receipt
from tests.unit.approvals import stage as stages
from tests.unit.approvals.stage import Stage, entries, nothing_happened

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage() -> Stage:
    return stages.build()


# -- requests that are over, agents that are suspended, policies that change -------------------------------------


def test_an_expired_request_is_refused_before_the_sweep_has_seen_it(stage: Stage) -> None:
    request = stage.open(requested_expiry_s=5)
    response = stage.sign(stage.prepare(request))
    with pytest.raises(RequestOver):
        stage.approve(request, response=response, now=clock.now() + timedelta(seconds=6))
    nothing_happened(request)


def test_a_request_that_the_sweep_has_ended_is_told_to_be_over(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    requests.expire_due(now=request.expires_at)
    request.refresh_from_db()
    with pytest.raises(RequestOver):
        stage.approve(request, response=response)
    assert not Decision.objects.exists()


@pytest.mark.parametrize("opened_at_us", [0, 700_000, 999_999])
def test_a_yes_in_the_last_moment_of_a_request_verifies(stage: Stage, opened_at_us: int) -> None:
    request = stage.open(requested_expiry_s=30, now=clock.now().replace(microsecond=opened_at_us))
    last = request.expires_at - timedelta(microseconds=1)
    stage.approve(request, response=stage.sign(stage.prepare(request, now=last)), now=last)
    verifies(request)


@pytest.mark.parametrize("prepared_at_us", [0, 700_000, 999_999])
def test_a_yes_in_the_last_moment_of_a_context_verifies(stage: Stage, prepared_at_us: int) -> None:
    request = stage.open(requested_expiry_s=3600)
    prepared = stage.prepare(request, now=clock.now().replace(microsecond=prepared_at_us) + timedelta(seconds=1))
    last = prepared.expires_at - timedelta(microseconds=1)
    stage.approve(request, response=stage.sign(prepared), now=last)
    verifies(request)


def verifies(request: ApprovalRequest) -> None:
    """The receipt stands before a verifier that knows no more than what was signed."""
    receipt = Receipt.objects.get(request=request)
    verify_receipt(receipt.jws, jwks=published_jwks(), origins=settings.RP_ORIGINS)


def test_a_withdrawn_request_is_refused(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    requests.cancel(request, by=stage.agent.identifier, reason="client", now=clock.now())
    with pytest.raises(AlreadyDecided):
        stage.approve(request, response=response)
    assert not Decision.objects.exists()


def test_a_denied_request_is_refused(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    services.deny(request, person=stage.ada, session_key="s1", response=None, now=clock.now())
    with pytest.raises(errors.AlreadyYours):
        stage.approve(request, response=response)
    request.refresh_from_db()
    assert request.state == "denied"


def test_a_suspended_agent_gets_no_yes(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    suspend(stage.agent, reason="odd", by=stage.ada.ref, now=clock.now())
    with pytest.raises((AgentNotActive, AlreadyDecided)):
        stage.approve(request, response=response)
    assert not Decision.objects.exists()
    assert not Receipt.objects.exists()


def test_a_policy_that_now_denies_ends_the_request(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    nobody = '@id("nobody") @says("Nobody.") forbid (principal, action, resource);'
    load_policy(nobody, by="cli:root", now=clock.now())
    with pytest.raises(PolicyChanged):
        stage.approve(request, response=response)
    request.refresh_from_db()
    assert request.state == "denied"
    assert not Decision.objects.exists()


# -- no ------------------------------------------------------------------------------------------------------


def test_a_no_is_one_tap_and_says_that_it_was_not_signed(stage: Stage) -> None:
    request = stage.open()
    decision = services.deny(request, person=stage.ada, session_key="s1", response=None, now=clock.now())
    request.refresh_from_db()
    assert (request.state, decision.is_signed, decision.passkey) == ("denied", False, None)
    assert [entry["data"]["is_signed"] for entry in entries("approvals.decision.denied")] == [False]


def test_a_no_may_be_signed(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request, decision="deny"))
    decision = services.deny(request, person=stage.ada, session_key="s1", response=response, now=clock.now())
    request.refresh_from_db()
    assert (request.state, decision.is_signed) == ("denied", True)


def test_a_yes_cannot_be_presented_as_a_no(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    with pytest.raises(errors.WrongDecision):
        services.deny(request, person=stage.ada, session_key="s1", response=response, now=clock.now())
    nothing_happened(request)


def test_a_stranger_cannot_say_no_either(stage: Stage) -> None:
    request = stage.open()
    with pytest.raises(NotYours):
        services.deny(request, person=stage.ben, session_key="s1", response=None, now=clock.now())
    nothing_happened(request)


def test_a_person_without_a_usable_key_can_still_say_no(stage: Stage) -> None:
    request = stage.open()
    Passkey.objects.update(ended_at=clock.now())
    services.deny(request, person=stage.ada, session_key="s1", response=None, now=clock.now())
    request.refresh_from_db()
    assert request.state == "denied"
