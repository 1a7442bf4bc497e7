"""Budgets: metered as tokens are issued, never exceeded, shared by all that a grant was passed on as."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization import budget
from aims.authorization.models import AccessToken, DelegationGrant, GrantMeter, GrantUse
from aims.authorization.request_errors import GrantRefused
from aims.authorization.services.grants import give_grant
from aims.identifier import services as identifier
from aims.identifier.models import Agent
from aims.kit import clock
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY, payment
from tests.unit.authorization.entries import entries, types_since
from tests.unit.authorization.test_grants import give, take_back, terms, wide

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
EVERYTHING = {"actions": ("accounts.read", "payments.create"), "detail_types": ("payment_initiation",)}


def only(door: Door, **changed: Any) -> DelegationGrant:
    grant = give(door, **(EVERYTHING | changed))
    take_back(wide(door))
    return grant


def used(grant: DelegationGrant) -> dict[str, int]:
    return dict(GrantMeter.objects.filter(grant=grant).values_list("unit", "used"))


def bought(door: Door, amount: str) -> Any:
    auth_req_id = door.asked(authorization_details=payment(amount))
    door.approve()
    return door.poll(auth_req_id)


def kestrel(door: Door) -> Agent:
    return identifier.register_agent(
        identifier.RegisterAgent(
            identifier="spiffe://acme.example/kestrel", name="Kestrel", purpose="Reads", contact="a@b.example",
            owner=door.stage.ada,
        ),
        by=BY,
        now=clock.now(),
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"coun": 1},
        {"count": 0},
        {"count": True},
        {"count": "3"},
        {"per_hour": budget.COUNT_MAX + 1},
        {"amounts": {"EUR": "0"}},
        {"amounts": {"EUR": "1.234"}},
        {"amounts": {"EUR": 5}},
        {"amounts": {"EURO": "5"}},
        {"amounts": [1]},
    ],
)
def test_what_is_no_budget_is_refused(door: Door, wrong: dict[str, Any]) -> None:
    with pytest.raises(GrantRefused):
        give_grant(terms(door, budget=wrong), by=BY, now=clock.now())


def test_what_limits_nothing_is_no_budget_and_meters_nothing(door: Door) -> None:
    assert give(door, budget={"count": None, "amounts": {}}).budget == {}
    assert not GrantMeter.objects.exists()


@pytest.mark.spec("AIMS Console", "grants", "a budget is metered with the token, and never exceeded")
def test_the_count_runs_out_and_then_nothing_is_written(door: Door) -> None:
    grant = only(door, budget={"count": 2})
    assert [door.courier.token(scope="accounts.read").status_code for _ in range(2)] == [200, 200]
    before = len(entries())
    answer = door.courier.token(scope="accounts.read")
    assert error_of(answer) == (400, "access_denied")
    assert "budget" in answer.json()["error_description"]
    assert types_since(before) == ["authorization.token.refused"]
    assert used(grant) == {"uses": 2}
    assert (GrantUse.objects.filter(grant=grant).count(), AccessToken.objects.count()) == (2, 2)


@pytest.mark.parametrize(("name", "length"), [("per_hour", timedelta(hours=1)), ("per_day", timedelta(days=1))])
def test_a_rate_begins_anew_with_the_clock_hour_or_day(door: Door, name: str, length: timedelta) -> None:
    only(door, budget={name: 1})
    token = door.courier.token
    assert token(scope="accounts.read").status_code == 200
    assert error_of(token(scope="accounts.read")) == (400, "access_denied")
    with clock.shifted(length):
        assert token(scope="accounts.read").status_code == 200
        assert error_of(token(scope="accounts.read")) == (400, "access_denied")


def test_money_is_counted_by_currency_to_the_last_cent(door: Door) -> None:
    grant = only(door, budget={"amounts": {"EUR": "30.00"}})
    assert bought(door, "19.99").status_code == 200
    assert used(grant) == {"EUR": 1999}
    refused = bought(door, "10.02")
    assert error_of(refused) == (400, "access_denied")
    assert "budget" in refused.json()["error_description"]
    assert door.request().state == "cancelled"
    assert entries("authorization.request.cancelled")[-1]["data"]["reason"] == "budget_spent"
    assert bought(door, "10.01").status_code == 200
    assert used(grant) == {"EUR": 3000}
    assert [use.amounts for use in GrantUse.objects.order_by("pk")] == [{"EUR": 1999}, {"EUR": 1001}]


def test_money_in_a_currency_that_the_budget_leaves_out_is_not_allowed(door: Door) -> None:
    only(door, budget={"amounts": {"USD": "1000"}})
    assert error_of(bought(door, "1.00")) == (400, "access_denied")
    assert door.courier.token(scope="accounts.read").status_code == 200  # it moves no money


def test_half_a_charge_is_taken_back(door: Door) -> None:
    grant = only(door, budget={"count": 5, "amounts": {"EUR": "5.00"}})
    assert error_of(bought(door, "6.00")) == (400, "access_denied")
    assert used(grant) == {"uses": 0, "EUR": 0}


def test_another_grant_with_room_is_used_when_one_is_spent(door: Door) -> None:
    spent = only(door, budget={"count": 1}, until_at=clock.now() + timedelta(days=5))
    other = give(door, budget={"count": 1})
    assert [door.courier.token(scope="accounts.read").status_code for _ in range(3)] == [200, 200, 400]
    assert used(spent) == used(other) == {"uses": 1}


def test_a_token_without_a_budget_is_still_noted_on_its_grant(door: Door) -> None:
    assert door.courier.token(scope="accounts.read").status_code == 200
    assert [use.grant for use in GrantUse.objects.all()] == [wide(door)]
    assert GrantUse.objects.get().jti == AccessToken.objects.get().jti


@pytest.mark.parametrize(
    ("inner", "outer", "fits"),
    [
        ({}, {}, True),
        ({"count": 1}, {}, True),
        ({}, {"count": 1}, False),
        ({"count": 2}, {"count": 1}, False),
        ({"count": 1, "per_day": 9}, {"count": 1}, True),
        ({"amounts": {"EUR": "10"}}, {"amounts": {"EUR": "9.99"}}, False),
        ({"amounts": {"EUR": "9.9"}}, {"amounts": {"EUR": "10", "USD": "1"}}, True),
        ({"amounts": {"USD": "1"}}, {"amounts": {"EUR": "10"}}, False),
        ({}, {"amounts": {"EUR": "10"}}, False),
    ],
)
def test_a_budget_is_within_another_where_no_limit_is_wider(
    inner: dict[str, Any], outer: dict[str, Any], fits: bool
) -> None:
    assert budget.is_within(inner, outer) is fits
    least = budget.lesser(inner, outer)
    assert least is None or (budget.is_within(least, inner) and budget.is_within(least, outer))
    assert (least == inner) is fits
