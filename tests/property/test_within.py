"""What is within what: reflexive, transitive, and never true of more money or more places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aims.authorization.within import detail_within, details_within, scope_within

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=2)
LISTS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)


@st.composite
def payments(draw: st.DrawFn) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "type": "payment_initiation",
        "instructedAmount": {"amount": str(draw(AMOUNTS)), "currency": draw(st.sampled_from(["EUR", "SEK"]))},
        "creditorName": draw(st.sampled_from(["Acme", "Nordwind"])),
    }
    for name in draw(st.sets(st.sampled_from(["locations", "actions"]))):
        detail[name] = draw(LISTS)
    return detail


@given(payments())
def test_a_payment_is_within_itself(one: dict[str, Any]) -> None:
    assert detail_within(one, one)


@given(payments(), payments(), payments())
def test_within_is_transitive(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    if detail_within(one, two) and detail_within(two, three):
        assert detail_within(one, three)


@given(payments(), AMOUNTS)
def test_a_larger_amount_is_never_within(one: dict[str, Any], amount: Any) -> None:
    other = one | {"instructedAmount": one["instructedAmount"] | {"amount": str(amount)}}
    assert detail_within(other, one) == (float(str(amount)) <= float(one["instructedAmount"]["amount"]))


@given(st.lists(payments(), max_size=4))
def test_no_payment_pays_for_two(held: list[dict[str, Any]]) -> None:
    assert details_within(list(reversed(held)), held)
    if held:
        assert not details_within([*held, held[0]], held)


@pytest.mark.parametrize(
    ("asked", "carried"),
    [
        ({"type": "unknown"}, {"type": "unknown"}),
        ({"type": "payment_initiation"}, {"type": "unknown"}),
        ({"type": "payment_initiation", "x": 1}, {"type": "payment_initiation"}),
        ({"type": "payment_initiation", "x": True}, {"type": "payment_initiation", "x": 1}),
        ({"type": "payment_initiation"}, {"type": "payment_initiation", "locations": ["a"]}),
        (
            {"type": "payment_initiation", "instructedAmount": {"amount": "-1", "currency": "EUR"}},
            {"type": "payment_initiation", "instructedAmount": {"amount": "1", "currency": "EUR"}},
        ),
        (
            {"type": "payment_initiation", "instructedAmount": {"amount": "NaN", "currency": "EUR"}},
            {"type": "payment_initiation", "instructedAmount": {"amount": "1", "currency": "EUR"}},
        ),
    ],
)
def test_what_is_not_within(asked: dict[str, Any], carried: dict[str, Any]) -> None:
    assert not detail_within(asked, carried)


CHANGE = {"type": "repository_change", "repository": "acme/ledger", "source": "fix", "branch": "main", "additions": 1}


def test_a_change_is_within_itself_at_the_same_or_fewer_places() -> None:
    assert detail_within(CHANGE, CHANGE)
    assert detail_within(CHANGE | {"locations": ["a"]}, CHANGE)
    assert detail_within(CHANGE | {"actions": ["a"]}, CHANGE | {"actions": ["a", "b"]})


@pytest.mark.parametrize(
    "asked",
    [
        CHANGE | {"branch": "release"},
        CHANGE | {"additions": True},
        CHANGE | {"additions": 0},
        CHANGE | {"title": "more"},
        {name: value for name, value in CHANGE.items() if name != "branch"},
        CHANGE | {"type": "data_deletion"},
    ],
)
def test_another_change_is_not_within(asked: dict[str, Any]) -> None:
    assert not detail_within(asked, CHANGE)


def test_scope_is_a_subset() -> None:
    assert scope_within(["a"], ["a", "b"])
    assert not scope_within(["a", "c"], ["a", "b"])
