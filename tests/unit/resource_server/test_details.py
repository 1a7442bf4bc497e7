"""details.py: an action is allowed by exactly one object, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aims.resource_server.details import OBJECTS_MAX, covering, covers
from aims.resource_server.errors import DetailAmbiguous, DetailNotCovered, InsufficientScope
from tests.unit.resource_server.made import PAYMENT

FILES: dict[str, Any] = {"type": "files", "actions": ["read", "list"], "datatypes": ["pdf"], "folder": {"id": 7}}


def test_the_same_object_covers_the_action() -> None:
    assert covering([FILES, PAYMENT], PAYMENT) == PAYMENT


def test_the_order_of_members_says_nothing() -> None:
    assert covers(dict(reversed(PAYMENT.items())), PAYMENT)


@pytest.mark.parametrize(
    "wanted",
    [
        FILES,
        FILES | {"actions": ["read"]},
        FILES | {"actions": ["list", "read"]},
        FILES | {"actions": ["list", "list"]},
    ],
)
def test_an_action_may_name_less_of_the_common_lists(wanted: dict[str, Any]) -> None:
    assert covers(FILES, wanted)


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "file"},
        {"type": None},
        {"actions": ["read", "write"]},
        {"actions": []},
        {"actions": "read"},
        {"actions": ["read", 1]},
        {"actions": {"read": True}},
        {"actions": None},
        {"datatypes": ["PDF"]},
        {"folder": {"id": 8}},
        {"folder": {"id": 7.0}},
        {"folder": {"id": "7"}},
        {"folder": {"id": True}},
        {"folder": {"id": 7, "deep": True}},
        {"folder": [7]},
        {"extra": None},
        {"locations": ["https://pay.example/"]},
    ],
)
def test_another_action_is_not_covered(changed: dict[str, Any]) -> None:
    assert not covers(FILES, FILES | changed)


@pytest.mark.parametrize("name", ["actions", "datatypes", "folder"])
def test_what_the_token_limits_the_action_must_state(name: str) -> None:
    assert not covers(FILES, {key: value for key, value in FILES.items() if key != name})


@pytest.mark.parametrize("name", ["actions", "datatypes", "folder"])
def test_what_the_action_states_the_token_must_allow(name: str) -> None:
    assert not covers({key: value for key, value in FILES.items() if key != name}, FILES)


def test_true_is_not_one_in_lists_either() -> None:
    assert not covers(FILES | {"folder": [1, 0]}, FILES | {"folder": [True, False]})
    assert not covers(FILES | {"folder": [1, 2]}, FILES | {"folder": [2, 1]})
    assert not covers(FILES | {"folder": [1]}, FILES | {"folder": [1, 1]})


@pytest.mark.parametrize(
    "granted", [None, {}, "x", [], [None], ["payment_initiation"], [{}], [PAYMENT] * (OBJECTS_MAX + 1)]
)
def test_a_claim_that_holds_no_such_object_covers_nothing(granted: object) -> None:
    with pytest.raises(DetailNotCovered):
        covering(granted, PAYMENT)


def test_two_objects_that_both_allow_it_are_refused_and_that_is_a_lack_of_scope() -> None:
    with pytest.raises(DetailAmbiguous) as caught:
        covering([FILES, FILES | {"actions": ["read"]}], FILES | {"actions": ["read"]})
    assert isinstance(caught.value, InsufficientScope) and caught.value.status == 403
    assert covering([FILES, FILES | {"actions": ["read"]}], FILES) == FILES


unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck))  # a loaded machine proves nothing
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=5,
)
WORDS = st.lists(st.sampled_from(["read", "list", "write"]), min_size=1, max_size=3)
OBJECT = st.fixed_dictionaries({"type": st.sampled_from(["files", "mail"])}, optional={"actions": WORDS, "x": JSON})


@unhurried
@given(OBJECT, OBJECT)
def test_two_objects_that_cover_each_other_differ_in_nothing_but_the_order_of_words(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert covers(one, one)
    if covers(one, other) and covers(other, one):
        assert set(one.get("actions", ())) == set(other.get("actions", ()))
        assert repr(one.get("x")) == repr(other.get("x")) or isinstance(one["x"], dict | list)


@unhurried
@given(OBJECT, OBJECT, OBJECT)
def test_covering_is_transitive(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    if covers(one, two) and covers(two, three):
        assert covers(one, three)
