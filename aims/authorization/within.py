"""Is what is asked for within what a token carries: scope, and authorization_details by their type. Pure.

Spec: RFC 8693 §2.1 (a result is never wider than its subject token), RFC 9396 §2 (comparison belongs to the type).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

Detail = Mapping[str, Any]
LISTS = ("locations", "actions", "datatypes", "privileges")  # RFC 9396 §2.2
AMOUNT = "instructedAmount"


def scope_within(asked: Sequence[str], carried: Sequence[str]) -> bool:
    """Return whether every word of a scope stands in another."""
    return set(asked) <= set(carried)


def details_within(asked: Sequence[Detail], carried: Sequence[Detail]) -> bool:
    """Return whether each object is within one of its own of the objects carried: none pays for two."""
    return _matched(list(asked), list(carried))


def detail_within(asked: Detail, carried: Detail) -> bool:
    """Return whether one object is within another. A type that has no comparator is within nothing."""
    compare = COMPARATORS.get(str(carried.get("type")))
    return compare is not None and asked.get("type") == carried["type"] and compare(asked, carried)


def _payment(asked: Detail, carried: Detail) -> bool:
    """The same payment, at most its amount, at the same or fewer places."""
    return _is_alike(asked, carried, but={AMOUNT}) and _is_at_most(asked.get(AMOUNT), carried.get(AMOUNT))


def _change(asked: Detail, carried: Detail) -> bool:
    """The same change, at the same or fewer places: half a change is another change."""
    return _is_alike(asked, carried, but=set())


def _is_alike(asked: Detail, carried: Detail, *, but: set[str]) -> bool:
    """Return whether all members but these are equal, and the common lists name no more."""
    if asked.keys() - carried.keys() - set(LISTS) or carried.keys() - asked.keys():
        return False
    is_same = all(_is_same(asked[name], carried[name]) for name in carried.keys() - {*LISTS, *but})
    return is_same and all(_is_part(asked.get(name), carried.get(name)) for name in LISTS)


COMPARATORS: Mapping[str, Callable[[Detail, Detail], bool]] = {
    "payment_initiation": _payment,
    "repository_change": _change,
}


def _is_part(asked: object, carried: object) -> bool:
    """Return whether a list names no more than another. An absent list is no limit, so any list is within it."""
    if carried is None:
        return asked is None or _is_words(asked)
    return _is_words(asked) and _is_words(carried) and set(asked) <= set(carried)  # type: ignore[call-overload]


def _is_words(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def _is_at_most(asked: object, carried: object) -> bool:
    if not isinstance(asked, Mapping) or not isinstance(carried, Mapping) or asked.keys() != carried.keys():
        return False
    if not all(_is_same(asked[name], carried[name]) for name in carried.keys() - {"amount"}):
        return False
    try:
        return Decimal(0) <= Decimal(str(asked["amount"])) <= Decimal(str(carried["amount"]))
    except (InvalidOperation, KeyError):
        return False


def _is_same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal; in Python alone, True equals 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other


def _matched(asked: list[Detail], carried: list[Detail]) -> bool:
    """Return whether every object asked for finds one of its own: augmenting paths, so that order decides nothing."""
    taken: dict[int, int] = {}

    def place(index: int, seen: set[int]) -> bool:
        for slot, whole in enumerate(carried):
            if slot in seen or not detail_within(asked[index], whole):
                continue
            seen.add(slot)
            if slot not in taken or place(taken[slot], seen):
                taken[slot] = index
                return True
        return False

    return all(place(index, set()) for index in range(len(asked)))
