"""Suspend, resume, retire, stop everything: an agent's state, requests, tokens and grants move together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import AccessToken, ApprovalRequest, DelegationGrant
from aims.authorization.services import ending
from aims.authorization.services.agents import resume_agent, retire_agent, stop_everything, suspend_agent
from aims.identifier.errors import UnlawfulMove
from aims.kit import clock
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY
from tests.unit.authorization.entries import entries, types_since

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
SUSPENDED, RETIRED = "identifier.agent.suspended", "identifier.agent.retired"
CANCELLED, ENDED = "authorization.request.cancelled", "authorization.tokens.ended"
TAKEN_BACK = "authorization.grant.revoked"


def do(verb: Any, door: Door) -> None:
    door.stage.agent.refresh_from_db()
    verb(door.stage.agent, reason="It acted oddly.", by=BY, now=clock.now())


def token(door: Door) -> str:
    return str(door.courier.token(scope="accounts.read").json()["access_token"])


def is_active(door: Door, token: str) -> bool:
    server = door.stage.server
    return bool(server.post("/oauth/introspect", server.signed({"token": token})).json()["active"])


def busy(door: Door) -> tuple[str, str]:
    """Let the agent have one request that waits, one that was approved, and two tokens; return these."""
    held = (token(door), token(door))
    door.asked()
    door.approve()
    door.asked()
    return held


@pytest.mark.spec(
    "draft-ietf-wimse-aims", "10", "what a stopped agent holds stops with it, and the log says what that was"
)
@pytest.mark.parametrize(
    ("verb", "moved", "reason", "grants"),
    [
        (suspend_agent, SUSPENDED, "agent_suspended", 1),
        (retire_agent, RETIRED, "agent_retired", 0),
        (stop_everything, SUSPENDED, "stopped", 0),
    ],
)
def test_everything_an_agent_has_ends_with_it_in_one_transaction(
    door: Door, verb: Any, moved: str, reason: str, grants: int
) -> None:
    held, before = busy(door), len(entries())
    do(verb, door)
    assert set(ApprovalRequest.objects.values_list("state", flat=True)) == {"cancelled"}
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    assert DelegationGrant.objects.filter(revoked_at=None).count() == grants
    assert not any(is_active(door, each) for each in held)
    expected = [moved, CANCELLED, CANCELLED, ENDED] + [TAKEN_BACK] * (1 - grants)
    assert types_since(before)[: len(expected)] == expected
    assert [entry["data"]["reason"] for entry in entries(CANCELLED)] == [reason] * 2


def test_the_entry_names_the_tokens_that_died_and_counts_them(door: Door) -> None:
    busy(door)
    jtis = set(AccessToken.objects.values_list("jti", flat=True))
    do(suspend_agent, door)
    (entry,) = entries(ENDED)
    assert entry["data"] | {"jtis": set(entry["data"]["jtis"])} == {
        "reason": "agent_suspended",
        "grant": None,
        "count": 2,
        "jtis": jtis,
    }
    assert (entry["agent"], entry["by"], entry["remediation"]) == (door.courier.client_id, BY, "agent_suspended")


def test_of_many_tokens_the_newest_are_named_and_all_are_counted(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "JTIS_MAX", 2)
    for _ in range(3):
        token(door)
    newest = list(AccessToken.objects.order_by("-pk").values_list("jti", flat=True)[:2])
    do(stop_everything, door)
    (entry,) = entries(ENDED)
    assert (entry["data"]["count"], entry["data"]["jtis"]) == (3, newest)


def test_two_hundred_names_fit_into_an_entry(door: Door) -> None:
    until = clock.now() + timedelta(minutes=5)
    rows = [
        AccessToken(agent=door.stage.agent, token_checksum=f"{number:064}", jti=f"tok_{number:026}", expires=until)
        for number in range(ending.JTIS_MAX + 1)
    ]
    AccessToken.objects.bulk_create(rows)
    do(stop_everything, door)
    assert entries(ENDED)[0]["data"]["count"] == ending.JTIS_MAX + 1


def test_an_agent_without_tokens_writes_no_entry_about_them(door: Door) -> None:
    do(suspend_agent, door)
    assert entries(ENDED) == []


def test_another_agents_tokens_and_what_has_expired_stay_as_they_are(door: Door) -> None:
    token(door)
    AccessToken.objects.update(expires=clock.now())
    do(stop_everything, door)
    assert entries(ENDED) == []
    assert AccessToken.objects.get().revoked_at is None


def test_stopping_a_suspended_agent_takes_its_grants_and_suspends_it_once(door: Door) -> None:
    do(suspend_agent, door)
    do(stop_everything, door)
    do(stop_everything, door)
    assert len(entries(SUSPENDED)) == len(entries(TAKEN_BACK)) == 1
    assert not DelegationGrant.objects.filter(revoked_at=None).exists()


def test_a_resumed_agent_gets_nothing_back(door: Door) -> None:
    held, _other = busy(door)
    waiting = door.request()
    do(suspend_agent, door)
    do(resume_agent, door)
    assert not is_active(door, held)
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    assert is_active(door, token(door))


def test_after_the_red_button_a_resumed_agent_may_do_nothing_until_somebody_lets_it(door: Door) -> None:
    do(stop_everything, door)
    do(resume_agent, door)
    assert error_of(door.courier.token(scope="accounts.read")) == (400, "access_denied")
    assert error_of(door.ask()) == (403, "access_denied")


@pytest.mark.parametrize("verb", [suspend_agent, resume_agent, retire_agent])
def test_a_retired_agent_never_moves_again_and_nothing_is_recorded(door: Door, verb: Any) -> None:
    do(retire_agent, door)
    before = len(entries())
    with pytest.raises(UnlawfulMove):
        do(verb, door)
    assert types_since(before) == []


def test_a_suspension_that_is_refused_changes_nothing(door: Door) -> None:
    do(suspend_agent, door)
    before = len(entries())
    with pytest.raises(UnlawfulMove):
        do(suspend_agent, door)
    assert types_since(before) == []
