"""Two at once, on two real connections: one winner, one record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import AccessToken
from aims.authorization.services.agents import suspend_agent
from aims.authorization.services.requests import cancel, expire_due, reconsider
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_poll import DENY_ALL
from tests.support.log import written_once as written_once
from tests.support.racing import at_once, overtaken
from tests.unit.authorization.entries import entries

pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]


def test_two_redemptions_give_one_token(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    answers = at_once(lambda: door.poll(auth_req_id), lambda: door.poll(auth_req_id))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    loser = next(answer for answer in answers if answer.status_code == 400)
    assert error_of(loser) == (400, "invalid_grant")
    assert AccessToken.objects.filter(request=door.request()).count() == 1


def test_yes_against_no_has_one_winner(door: Door) -> None:
    door.asked()
    answers = at_once(door.approve, door.deny)
    assert sum(isinstance(answer, AimsError) for answer in answers) == 1
    assert door.request().state in {"approved", "denied"}


def test_two_polls_at_once_do_not_both_count_as_patient(door: Door) -> None:
    auth_req_id = door.asked()
    answers = at_once(lambda: door.poll(auth_req_id), lambda: door.poll(auth_req_id))
    assert sorted(error_of(answer)[1] for answer in answers) == ["authorization_pending", "slow_down"]
    assert door.request().polls == 2


def test_one_proof_on_two_polls_counts_once(door: Door) -> None:
    poll = door.courier.signed({"grant_type": CIBA, "auth_req_id": door.asked()})
    answers = at_once(*[lambda: door.courier.post("/oauth/token", poll)] * 4)
    assert sorted(error_of(answer)[1] for answer in answers) == ["authorization_pending", *["invalid_client"] * 3]
    assert (door.request().polls, door.request().backchannel.interval_s) == (1, 5)


def test_expiry_against_yes_has_one_winner(door: Door) -> None:
    door.asked(requested_expiry="60")
    response = door.signature()
    later = clock.now() + timedelta(seconds=61)
    answers = at_once(lambda: door.approve(response), lambda: expire_due(now=later))
    is_approved = not isinstance(answers[0], AimsError)
    assert (door.request().state, answers[1]) == (("approved", 0) if is_approved else ("expired", 1))


def test_withdrawal_against_yes_leaves_nothing_to_redeem(door: Door) -> None:
    auth_req_id = door.asked()
    response, request = door.signature(), door.request()
    at_once(
        lambda: door.approve(response),
        lambda: cancel(request, by="cli:test", reason="client", now=clock.now()),
    )
    assert door.request().state == "cancelled"  # a yes that came first can still be withdrawn
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")


def test_withdrawal_against_redemption_has_one_winner(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    request = door.request()
    answers = at_once(
        lambda: door.poll(auth_req_id),
        lambda: cancel(request, by="cli:test", reason="client", now=clock.now()),
    )
    is_redeemed = answers[0].status_code == 200
    assert isinstance(answers[1], AimsError) == is_redeemed
    assert door.request().state == ("redeemed" if is_redeemed else "cancelled")
    assert AccessToken.objects.filter(request=request).count() == is_redeemed


@pytest.mark.spec("CIBA Core 1.0", "11", "access_denied once the request was withdrawn or denied")
def test_a_withdrawal_that_overtakes_a_redemption_is_access_denied(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    request = door.request()
    _done, answer = overtaken(
        lambda: cancel(request, by="cli:test", reason="client", now=clock.now()),
        lambda: door.poll(auth_req_id),
    )
    refused_as(door, answer, "access_denied", state="cancelled")


@pytest.mark.spec("CIBA Core 1.0", "11", "expired_token once the approval is over")
def test_the_sweep_that_overtakes_a_redemption_is_expired_token(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    until_at = door.request().approved_until_at
    assert until_at is not None
    swept, answer = overtaken(lambda: expire_due(now=until_at), lambda: door.poll(auth_req_id))
    assert swept == 1
    refused_as(door, answer, "expired_token", state="expired")


def test_a_policy_that_overtakes_a_redemption_is_access_denied(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    request = door.request()
    load_policy(DENY_ALL, by="cli:test", now=clock.now())
    _state, answer = overtaken(lambda: reconsider(request, now=clock.now()), lambda: door.poll(auth_req_id))
    refused_as(door, answer, "access_denied", state="denied")


def test_a_suspension_that_overtakes_a_redemption_is_access_denied(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    door.poll("another")  # the agent is known to this process: its poll is not refused at the door
    agent = door.request().agent
    _done, answer = overtaken(
        lambda: suspend_agent(agent, reason="race", by="cli:test", now=clock.now()),
        lambda: door.poll(auth_req_id),
    )
    refused_as(door, answer, "access_denied", state="cancelled")


def test_a_redemption_that_overtakes_another_is_invalid_grant(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    first, second = overtaken(lambda: door.poll(auth_req_id), lambda: door.poll(auth_req_id))
    assert first.status_code == 200
    assert error_of(second) == (400, "invalid_grant")
    assert AccessToken.objects.filter(request=door.request()).count() == 1


def refused_as(door: Door, answer: Any, code: str, *, state: str) -> None:
    """One refusal with the code of the state that won; the log has it, and nothing was issued."""
    assert error_of(answer) == (400, code)
    assert door.request().state == state
    assert not AccessToken.objects.exists()
    [refusal] = [e for e in entries("authorization.redemption.refused") if e["data"]["request"] == door.request().ref]
    assert refusal["data"]["code"] == code
