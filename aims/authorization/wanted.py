"""What a request wants, in the registry's terms: actions, their reversibility, the details asked for. Pure.

Spec: RFC 9396 §2, §5 (authorization_details); RFC 8707 §2 (resource).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aims.authorization import cards
from audit.canonical import CanonicalError, decode, encode

DETAILS_MAX_BYTES = 16 * 1024
DETAILS_MAX_COUNT = 16
HARDNESS = cards.HARDNESS
OPENID = "openid"


class WantedRefused(Exception):
    """What is asked for can't be had. code: the error of RFC 9396 §5, or ``invalid_scope``; public: why."""

    def __init__(self, code: str, public: str) -> None:
        self.code, self.public = code, public
        super().__init__(f"{code}: {public}")


@dataclass(frozen=True)
class Action:
    """One action of the registry. detail_type: empty where scope alone asks for it."""

    name: str
    title: str
    detail_type: str
    reversibility: str


@dataclass(frozen=True)
class Wanted:
    """One action asked for. detail: the whole object, None where scope asks. reversibility: after hardening."""

    action: Action
    detail: Mapping[str, Any] | None
    reversibility: str


def read_details(text: str) -> tuple[dict[str, Any], ...]:
    """Return the ``authorization_details`` of a form parameter. Raises WantedRefused."""
    if len(text.encode()) > DETAILS_MAX_BYTES:
        raise WantedRefused(
            "invalid_authorization_details",
            f"At most {DETAILS_MAX_BYTES} bytes of details.",
        )
    try:
        return checked_details(decode(text.encode()))
    except CanonicalError as error:
        raise WantedRefused("invalid_authorization_details", "The details are not strict JSON.") from error


def checked_details(details: Any) -> tuple[dict[str, Any], ...]:
    """Return the objects of a decoded ``authorization_details`` value, each of its type's shape."""
    if not isinstance(details, list) or not all(isinstance(detail, dict) for detail in details):
        raise WantedRefused(
            "invalid_authorization_details",
            "authorization_details must be a list of objects.",
        )
    if not 1 <= len(details) <= DETAILS_MAX_COUNT:
        raise WantedRefused(
            "invalid_authorization_details",
            f"1 to {DETAILS_MAX_COUNT} details are possible.",
        )
    encoded = encode(details)
    if b"\\u0000" in encoded:  # PostgreSQL can't hold one; letters that only spell it are refused with it
        raise WantedRefused("invalid_authorization_details", "The details hold a NUL.")
    if len(encoded) > DETAILS_MAX_BYTES:
        raise WantedRefused(
            "invalid_authorization_details",
            f"At most {DETAILS_MAX_BYTES} bytes of details.",
        )
    for detail in details:
        _check(detail)
    return tuple(details)


def wanted(
    details: Sequence[Mapping[str, Any]],
    *,
    scope: Sequence[str],
    resource: str,
    actions: Sequence[Action],
    may_sign: bool = False,
) -> tuple[Wanted, ...]:
    """Return every action that the details and the scope ask for at a resource. Raises WantedRefused.

    may_sign: what scope alone asks for, and is more than reading, will be asked of a person who signs; see ``must_sign``.
    """
    asked = [item for detail in details for item in _of_detail(detail, resource=resource, actions=actions)]
    asked += [_of_scope(name, actions, may_sign=may_sign) for name in scope if name != OPENID]
    if not asked:
        raise WantedRefused(
            "invalid_authorization_details",
            "Say in authorization_details what you want to do.",
        )
    return tuple(asked)


def hardest(items: Sequence[Wanted]) -> str:
    """Return the reversibility of the action that is hardest to undo."""
    return max((item.reversibility for item in items), key=HARDNESS.index)


def must_sign(items: Sequence[Wanted]) -> bool:
    """Return whether scope alone asks for more than reading: then plain consent is never enough."""
    return any(item.detail is None and item.reversibility != HARDNESS[0] for item in items)


def _check(detail: Mapping[str, Any]) -> None:
    try:
        cards.check(detail)
    except cards.ShapeRefused as error:
        raise WantedRefused("invalid_authorization_details", f"{error.path} {error.why}.") from error


def _of_detail(detail: Mapping[str, Any], *, resource: str, actions: Sequence[Action]) -> Iterator[Wanted]:
    detail_type = detail["type"]
    if detail.get("locations", [resource]) != [resource]:
        raise WantedRefused(
            "invalid_authorization_details",
            "locations must name the resource, and only it.",
        )
    known = [action for action in actions if action.detail_type == detail_type]
    if not known:  # RFC 9396 §5: an unknown type is refused
        raise WantedRefused("invalid_authorization_details", "The resource has no action for this type.")
    for action in _named(detail, known):
        yield Wanted(
            action,
            detail,
            harder(action.reversibility) if not cards.is_typed(detail_type) else action.reversibility,
        )


def _named(detail: Mapping[str, Any], known: Sequence[Action]) -> Sequence[Action]:
    names = detail.get("actions")
    if names is None:
        return known
    by_name = {action.name: action for action in known}
    is_list = isinstance(names, list) and names and all(isinstance(name, str) and name in by_name for name in names)
    if not is_list or len(set(names)) != len(names):
        raise WantedRefused(
            "invalid_authorization_details",
            "actions must name actions of this type, each once.",
        )
    return [by_name[name] for name in names]


def _of_scope(name: str, actions: Sequence[Action], *, may_sign: bool) -> Wanted:
    # Scope alone never carries more than read-only actions, unless a person signs it.
    for action in actions:
        if action.name == name and (may_sign or action.reversibility == HARDNESS[0]):
            return Wanted(action, None, action.reversibility)
    known = "actions" if may_sign else "read-only actions"
    raise WantedRefused("invalid_scope", f"The scope may name openid and {known} of the resource.")


def harder(reversibility: str) -> str:
    """Return the next harder class: what we can't say in words is treated with more care."""
    return HARDNESS[min(HARDNESS.index(reversibility) + 1, len(HARDNESS) - 1)]
