"""Which ``authorization_details`` object of a token allows an action. Pure. Spec: RFC 9396 §2, §9.1.

An object covers an action, itself written as such an object, if

1. both have the same ``type``;
2. both have the same members: what the token limits the action must state, and what the action states the token must
   allow;
3. of ``locations``, ``actions``, ``datatypes`` and ``privileges`` (§2.2: lists of strings) the action names some, and
   none that the token does not name;
4. every other member is equal, as JSON: ``1`` is neither ``true`` nor ``1.0`` nor ``"1"``, and order counts in lists.

Exactly one object must cover the action: with two nobody could say which of them is used up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import DetailAmbiguous, DetailNotCovered

OBJECTS_MAX = 16
_LISTS = frozenset({"locations", "actions", "datatypes", "privileges"})


def covering(granted: object, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one object that covers an action. Raises DetailNotCovered, DetailAmbiguous.

    granted: the claim ``authorization_details`` as it stands in the token.
    """
    if not isinstance(granted, list) or len(granted) > OBJECTS_MAX:
        raise DetailNotCovered
    found = [detail for detail in granted if covers(detail, wanted)]
    if not found:
        raise DetailNotCovered
    if len(found) > 1:
        raise DetailAmbiguous
    return dict(found[0])


def covers(detail: object, wanted: Mapping[str, Any]) -> bool:
    """Return whether one object of a token allows an action."""
    if not isinstance(detail, Mapping) or not isinstance(detail.get("type"), str):
        return False
    if detail.keys() != wanted.keys():
        return False
    return all(_allows(name, detail[name], wanted[name]) for name in wanted)


def _allows(name: str, allowed: object, wanted: object) -> bool:
    if name not in _LISTS:
        return _is_same(allowed, wanted)
    return _is_words(allowed) and _is_words(wanted) and set(wanted) <= set(allowed)  # type: ignore[call-overload]


def _is_words(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def _is_same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal; in Python alone, True equals 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other
