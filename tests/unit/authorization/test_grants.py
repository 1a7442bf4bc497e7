"""Giving, narrowing, taking back, running out: what a grant allowed ends with it, and only that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization import queries
from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.request_errors import AlreadyDecided, GrantRefused
from aims.authorization.services import grants
from aims.authorization.services.agents import retire_agent
from aims.authorization.services.grants import GiveGrant, give_grant, revoke_grant
from aims.identifier import services as identifier
from aims.identifier.models import Agent
from aims.kit import clock
from aims.people.models import User
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY, PAY
from tests.unit.authorization.entries import entries, types_since

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
GIVEN, TAKEN_BACK = "authorization.grant.given", "authorization.grant.revoked"
ENDED, CANCELLED = "authorization.tokens.ended", "authorization.request.cancelled"
YEAR = grants.UNTIL_MAX


def terms(door: Door, **changed: Any) -> GiveGrant:
    base = GiveGrant(
        from_person=door.stage.ada,
        agent=door.stage.agent,
        resource=door.stage.pay,
        actions=("accounts.read",),
        detail_types=(),
        until_at=clock.now() + timedelta(days=2),
    )
    return replace(base, **changed)


def give(door: Door, **changed: Any) -> DelegationGrant:
    return give_grant(terms(door, **changed), by=BY, now=clock.now())


def take_back(grant: DelegationGrant) -> None:
    revoke_grant(grant, by=BY, now=clock.now())


def wide(door: Door) -> DelegationGrant:
    """The grant that the stage begins with: everything at ``pay``."""
    return DelegationGrant.objects.filter(agent=door.stage.agent).earliest("pk")


def read_token(door: Door) -> str:
    return str(door.courier.token(scope="accounts.read").json()["access_token"])


def is_active(door: Door, token: str) -> bool:
    server = door.stage.server
    return bool(server.post("/oauth/introspect", server.signed({"token": token})).json()["active"])


def test_a_grant_is_recorded_with_its_terms_and_counts_as_a_change_of_the_agent(door: Door) -> None:
    version = Agent.objects.get(pk=door.stage.agent.pk).version
    grant = give(door, actions=("payments.create", "accounts.read"), detail_types=("payment_initiation",))
    entry = entries(GIVEN)[-1]
    assert entry["data"] == {
        "grant": grant.ref,
        "from_person": door.stage.ada.ref,
        "actions": ["accounts.read", "payments.create"],
        "detail_types": ["payment_initiation"],
        "until": int(grant.until_at.timestamp()),
        "starts": None,
        "depth": 0,
        "budget": {},
        "parent": None,
        "approval": None,
    }
    assert (entry["agent"], entry["resource"], entry["by"]) == (door.courier.client_id, PAY, BY)
    assert Agent.objects.get(pk=door.stage.agent.pk).version == version + 1


@pytest.mark.parametrize(
    "changed",
    [
        {"actions": ()},
        {"actions": ("accounts.read", "accounts.burn")},
        {"detail_types": ("payment_initiation",)},  # of an action that is not named
        {"actions": ("payments.create",), "detail_types": ("message",)},
        {"until_at": timedelta()},
        {"until_at": timedelta(days=-1)},
        {"until_at": YEAR + timedelta(seconds=1)},
        {"mission": "x" * (grants.MISSION_MAX + 1)},
    ],
)
def test_terms_that_break_a_rule_are_refused_and_nothing_is_recorded(door: Door, changed: dict[str, Any]) -> None:
    now, before = clock.now(), len(entries())
    if "until_at" in changed:
        changed = {"until_at": now + changed["until_at"]}
    with pytest.raises(GrantRefused):
        give_grant(terms(door, **changed), by=BY, now=now)
    assert types_since(before) == []


def test_a_grant_may_last_a_year_and_its_mission_400_characters(door: Door) -> None:
    now = clock.now()
    give_grant(terms(door, until_at=now + YEAR, mission="x" * grants.MISSION_MAX), by=BY, now=now)


@pytest.mark.parametrize("gone", ["agent", "resource"])
def test_nothing_is_given_to_the_retired_or_at_the_retired(door: Door, gone: str) -> None:
    if gone == "agent":
        retire_agent(door.stage.agent, reason="over", by=BY, now=clock.now())
    else:
        identifier.retire_resource(door.stage.pay, by=BY, now=clock.now())
        door.stage.pay.refresh_from_db()
    with pytest.raises(GrantRefused):
        give(door)


def test_a_grant_that_has_run_out_allows_nothing_and_can_still_be_taken_back(door: Door) -> None:
    grant = wide(door)
    with clock.shifted(timedelta(days=1, seconds=1)):
        assert queries.grants_at(door.stage.agent, PAY, now=clock.now()) == []
        assert error_of(door.courier.token(scope="accounts.read")) == (400, "access_denied")
        assert error_of(door.ask()) == (403, "access_denied")
        take_back(grant)
    assert len(entries(TAKEN_BACK)) == 1


def test_a_grant_is_taken_back_once_and_the_second_is_told_so(door: Door) -> None:
    grant = give(door)
    take_back(grant)
    before = len(entries())
    with pytest.raises(AlreadyDecided):
        take_back(grant)
    assert types_since(before) == []
    grant.refresh_from_db()
    assert grant.revoked_by == BY


@pytest.mark.spec("draft-ietf-wimse-aims", "10", "authority that is taken back ends at once, not when a token expires")
def test_the_tokens_of_a_grant_end_with_it_and_the_log_names_them(door: Door) -> None:
    held = [read_token(door), read_token(door)]
    jtis = set(AccessToken.objects.values_list("jti", flat=True))
    assert is_active(door, held[0])
    before = len(entries())
    take_back(wide(door))
    assert types_since(before) == [TAKEN_BACK, ENDED]
    assert not any(is_active(door, each) for each in held)
    (entry,) = entries(ENDED)
    said = entry["data"]
    assert (said["reason"], said["grant"], said["count"]) == ("grant_revoked", wide(door).ref, 2)
    assert set(said["jtis"]) == jtis
    assert (entry["agent"], entry["resource"]) == (door.courier.client_id, PAY)


def test_what_another_grant_allows_goes_on(door: Door) -> None:
    give(door)
    held = read_token(door)
    take_back(wide(door))
    assert is_active(door, held)
    take_back(DelegationGrant.objects.latest("pk"))
    assert not is_active(door, held)


def test_narrowing_ends_what_the_narrow_grant_leaves_out(door: Door) -> None:
    reading = read_token(door)
    paying = door.asked()
    door.approve()
    bought = door.poll(paying).json()["access_token"]
    assert is_active(door, bought)
    give(door, actions=("accounts.read",))
    take_back(wide(door))
    assert (is_active(door, reading), is_active(door, bought)) == (True, False)


def test_another_resource_and_another_agent_are_not_touched(door: Door) -> None:
    held = read_token(door)
    elsewhere = identifier.register_resource(
        identifier.RegisterResource(
            identifier="https://mail.example/",
            name="Mail",
            actions=(identifier.ActionSpec(name="accounts.read", title="Read", reversibility="read-only"),),
        ),
        by=BY,
        now=clock.now(),
    )
    other = identifier.register_agent(
        identifier.RegisterAgent(
            identifier="spiffe://acme.example/kestrel",
            name="Kestrel",
            purpose="Reads",
            contact="a@b.example",
            owner=door.stage.ada,
        ),
        by=BY,
        now=clock.now(),
    )
    take_back(give(door, resource=elsewhere))
    take_back(give(door, agent=other))
    assert is_active(door, held)
    assert entries(ENDED) == []


@pytest.mark.parametrize("state", ["pending", "approved"])
def test_a_request_that_hangs_on_the_grant_is_withdrawn_with_it(door: Door, state: str) -> None:
    auth_req_id = door.asked()
    if state == "approved":
        door.approve()
    before = len(entries())
    take_back(wide(door))
    assert types_since(before) == [TAKEN_BACK, CANCELLED]
    assert entries(CANCELLED)[0]["data"]["reason"] == "grant_revoked"
    assert door.request().state == "cancelled"
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")


def test_a_request_that_another_grant_allows_goes_on(door: Door) -> None:
    auth_req_id = door.asked()
    give(door, actions=("payments.create",), detail_types=("payment_initiation",))
    take_back(wide(door))
    door.approve()
    assert door.poll(auth_req_id).status_code == 200


def test_a_strangers_grant_carries_nobody_elses_request(door: Door) -> None:
    ben = User.objects.create(email="ben@acme.example", name="Ben")
    auth_req_id = door.asked()
    theirs = give(door, from_person=ben, actions=("payments.create",), detail_types=("payment_initiation",))
    take_back(theirs)
    assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")
    give(door, from_person=ben, actions=("payments.create",), detail_types=("payment_initiation",))
    take_back(wide(door))
    assert door.request().state == "cancelled"  # Ben's word does not stand in for Ada's


def test_a_token_that_speaks_for_a_person_needs_that_persons_grant(door: Door) -> None:
    give(door, from_person=None, actions=("payments.create",), detail_types=("payment_initiation",))
    auth_req_id = door.asked()
    door.approve()
    held = door.poll(auth_req_id).json()["access_token"]
    request = door.request()
    request.subject_signed = None  # as if a colleague had signed: then her grant alone makes her the subject
    request.save(update_fields=["subject_signed"])
    take_back(wide(door))
    assert not is_active(door, held)


def test_a_token_whose_actions_nobody_knows_any_more_ends_with_any_grant_there(door: Door) -> None:
    held = read_token(door)
    spec = identifier.ActionSpec(name="accounts.list", title="List", reversibility="read-only")
    command = identifier.RegisterResource(identifier=PAY, name="Pay", actions=(spec,))
    door.stage.pay.refresh_from_db()
    identifier.update_resource(door.stage.pay, command, by=BY, now=clock.now())
    take_back(give(door, actions=("accounts.list",)))
    assert not is_active(door, held)


def test_a_request_that_needs_no_grant_does_not_end_with_a_strangers(door: Door) -> None:
    load_policy('@id("asks") @ask("subject") permit (principal, action, resource);', by=BY, now=clock.now())
    take_back(wide(door))
    auth_req_id = door.asked()
    ben = User.objects.create(email="ben@acme.example", name="Ben")
    take_back(give(door, from_person=ben, actions=("payments.create",), detail_types=("payment_initiation",)))
    door.approve()
    assert door.poll(auth_req_id).status_code == 200
