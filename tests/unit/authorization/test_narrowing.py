"""Narrowing and passing on: never wider, and what no longer fits falls, all the way down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.impact import impact_of, narrowing, revoking
from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.request_errors import AlreadyDecided, GrantRefused
from aims.authorization.services.agents import stop_everything
from aims.authorization.services.grants import NarrowGrant, narrow_grant
from aims.kit import clock
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY
from tests.unit.authorization.entries import entries, types_since
from tests.unit.authorization.test_budgets import EVERYTHING, kestrel, only
from tests.unit.authorization.test_grants import give, is_active, read_token, take_back

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
NARROWED, REVOKED = "authorization.grant.narrowed", "authorization.grant.revoked"
ENDED, CANCELLED = "authorization.tokens.ended", "authorization.request.cancelled"


def narrower(grant: DelegationGrant, **changed: Any) -> NarrowGrant:
    names = ("actions", "detail_types", "until_at", "budget", "depth")
    return NarrowGrant(**({name: getattr(grant, name) for name in names} | changed))


def narrow(grant: DelegationGrant, **changed: Any) -> None:
    narrow_grant(grant, narrower(grant, **changed), by=BY, now=clock.now())
    grant.refresh_from_db()


def chain(door: Door, **changed: Any) -> tuple[DelegationGrant, DelegationGrant]:
    parent = only(door, depth=2, **changed)
    child = give(door, agent=kestrel(door), parent=parent, depth=1, until_at=parent.until_at, **(EVERYTHING | changed))
    return parent, child


@pytest.mark.parametrize(
    "changed",
    [
        {"actions": ()},
        {"actions": ("accounts.read", "payments.create", "drafts.write")},
        {"actions": ("accounts.read",), "detail_types": ("message",)},
        {"until_at": timedelta(days=3)},
        {"until_at": timedelta(seconds=-1)},
        {"depth": 2},
        {"depth": -1},
        {"budget": {"count": 11}},
        {"budget": {}},
        {"budget": {"count": "many"}},
        {},
    ],
)
def test_a_grant_never_gets_wider_and_a_refusal_changes_nothing(door: Door, changed: dict[str, Any]) -> None:
    grant = give(door, depth=1, budget={"count": 10}, **EVERYTHING)
    if "until_at" in changed:
        changed = {"until_at": clock.now() + changed["until_at"]}
    before = len(entries())
    with pytest.raises(GrantRefused):
        narrow(grant, **changed)
    assert types_since(before) == []


def test_a_grant_that_has_ended_is_not_narrowed(door: Door) -> None:
    grant = give(door)
    take_back(grant)
    with pytest.raises(AlreadyDecided):
        narrow(grant, depth=0)


def test_what_no_longer_fits_falls_and_the_rest_goes_on(door: Door) -> None:
    grant = only(door)
    reading = read_token(door)
    auth_req_id = door.asked()
    before = len(entries())
    narrow(grant, actions=("accounts.read",), detail_types=())
    assert types_since(before) == [NARROWED, CANCELLED]
    assert entries(CANCELLED)[-1]["data"]["reason"] == "grant_narrowed"
    assert is_active(door, reading)
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")
    assert error_of(door.ask()) == (403, "access_denied")
    assert grant.revoked_at is None and grant.narrowed_at is not None


def test_a_token_that_would_outlive_the_earlier_end_falls(door: Door) -> None:
    grant = only(door)
    held = read_token(door)
    narrow(grant, until_at=clock.now() + timedelta(seconds=60))
    assert not is_active(door, held)
    assert entries(ENDED)[-1]["data"]["reason"] == "grant_narrowed"


def test_a_smaller_budget_keeps_what_was_used(door: Door) -> None:
    grant = only(door, budget={"count": 5})
    read_token(door), read_token(door)
    narrow(grant, budget={"count": 3})
    assert [door.courier.token(scope="accounts.read").status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    "changed",
    [
        {"depth": 2},
        {"until_at": timedelta(days=3)},
        {"actions": ("drafts.write",), "detail_types": ()},
        {"budget": {}},
        {"budget": {"count": 6}},
        {"from_person": None},
    ],
)
def test_what_is_passed_on_is_never_wider(door: Door, changed: dict[str, Any]) -> None:
    parent = only(door, depth=2, budget={"count": 5})
    if "until_at" in changed:
        changed = {"until_at": clock.now() + changed["until_at"]}
    base = EVERYTHING | {"agent": kestrel(door), "parent": parent, "depth": 1, "budget": {"count": 5}}
    base |= {"until_at": parent.until_at}
    with pytest.raises(GrantRefused):
        give(door, **(base | changed))
    assert give(door, **base).parent == parent


def test_nobody_passes_on_to_themselves_or_further_than_allowed(door: Door) -> None:
    parent = only(door, depth=1)
    with pytest.raises(GrantRefused):
        give(door, parent=parent, **EVERYTHING)
    child = give(door, agent=kestrel(door), parent=parent, until_at=parent.until_at, **EVERYTHING)
    with pytest.raises(GrantRefused):
        give(door, parent=child, **EVERYTHING)
    with pytest.raises(GrantRefused):
        give(door, depth=5)


@pytest.mark.spec("AIMS Console", "grants", "what a grant was passed on as ends with it")
def test_taking_back_ends_what_was_passed_on(door: Door) -> None:
    parent, child = chain(door)
    before = len(entries())
    take_back(parent)
    assert types_since(before) == [REVOKED, REVOKED]
    child.refresh_from_db()
    assert child.revoked_by == BY


def test_taking_back_below_leaves_what_is_above(door: Door) -> None:
    parent, child = chain(door)
    take_back(child)
    parent.refresh_from_db()
    assert parent.revoked_at is None


def test_stopping_an_agent_ends_what_it_passed_on(door: Door) -> None:
    _parent, child = chain(door)
    stop_everything(door.stage.agent, reason="odd", by=BY, now=clock.now())
    child.refresh_from_db()
    assert child.revoked_at is not None


def test_narrowing_narrows_what_was_passed_on_and_ends_what_keeps_nothing(door: Door) -> None:
    parent, child = chain(door, budget={"count": 9})
    end = clock.now() + timedelta(days=1)
    narrow(parent, actions=("accounts.read",), detail_types=(), budget={"count": 4}, until_at=end)
    child.refresh_from_db()
    assert (child.actions, child.detail_types, child.budget) == (["accounts.read"], [], {"count": 4})
    assert child.until_at == end
    narrow(parent, depth=0)
    child.refresh_from_db()
    assert child.revoked_at is not None


def test_the_preview_says_exactly_what_then_ends(door: Door) -> None:
    parent, child = chain(door)
    read_token(door)
    door.asked()
    now = clock.now()
    seen = impact_of(revoking(parent), now=now)
    assert ([row.ref for row in seen.revoked], len(seen.tokens), len(seen.requests)) == ([child.ref], 1, 1)
    after = narrowing(parent, actions=["accounts.read"], detail_types=[])
    less = impact_of(after, now=now)
    assert ([row.ref for row in less.narrowed], len(less.tokens), len(less.requests)) == ([child.ref], 0, 1)
    take_back(parent)
    assert AccessToken.objects.exclude(revoked_at=None).count() == 1
    assert door.request().state == "cancelled"


def test_a_grant_that_has_not_begun_allows_nothing_yet(door: Door) -> None:
    only(door, starts_at=clock.now() + timedelta(hours=1))
    assert error_of(door.courier.token(scope="accounts.read")) == (400, "access_denied")
    with clock.shifted(timedelta(hours=1, minutes=1)):
        assert door.courier.token(scope="accounts.read").status_code == 200
