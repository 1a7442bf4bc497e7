"""Which resource and which actions a request means. Spec: RFC 8707 §2, RFC 9396 §2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from aims.authorization import wanted
from aims.authorization.errors import InvalidAuthorizationDetails, InvalidScope, InvalidTarget, OAuthError
from aims.authorization.wanted import OPENID, Action, Wanted, WantedRefused
from aims.identifier.models import Resource

MANAGEMENT_PATH = "/api/v1/"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One resource, what is to be done there, and the scope and details that say so."""

    resource: Resource
    scope: str
    details: tuple[Mapping[str, Any], ...]
    wanted: tuple[Wanted, ...]


def read_target(*, resources: Sequence[str], scope: str | None, details: str | None) -> Target:
    """Return what a token request means. Raises InvalidTarget, InvalidScope, InvalidAuthorizationDetails."""
    try:
        parsed = wanted.read_details(details) if details else ()
        resource = _resource(resources, parsed)
        names = tuple(dict.fromkeys((scope or "").split()))
        return Target(resource=resource, scope=" ".join(names), details=parsed, wanted=_wanted(resource, names, parsed))
    except WantedRefused as error:
        raise _as_oauth(error) from error


def loggable(resources: Sequence[str]) -> str | None:
    """Return the resource asked for if it may stand in the log: one that is registered. The log takes no free text."""
    known = Resource.objects.filter(identifier__in=list(resources)[:2])
    return known[0].identifier if len(resources) == 1 and known else None


def _resource(resources: Sequence[str], details: Sequence[Mapping[str, Any]]) -> Resource:
    """Return the one resource named, or the one location that all details share (RFC 9396 §2.2)."""
    places = set(resources) or {place for detail in details for place in _locations(detail)}
    if len(places) != 1:
        raise InvalidTarget
    found = Resource.objects.prefetch_related("actions").filter(identifier=places.pop(), retired_at=None).first()
    if found is None:
        raise InvalidTarget
    return found


def _locations(detail: Mapping[str, Any]) -> list[str]:
    places = detail.get("locations", [])
    return [place for place in places if isinstance(place, str)] if isinstance(places, list) else []


def _wanted(resource: Resource, scope: Sequence[str], details: Sequence[Mapping[str, Any]]) -> tuple[Wanted, ...]:
    if OPENID in scope:
        raise InvalidScope("openid needs a person: ask at the backchannel endpoint.")
    actions = [Action(row.name, row.title, row.detail_type, row.reversibility) for row in resource.actions.all()]
    if not scope and not details:
        raise InvalidScope("Say in scope or authorization_details what you want to do.")
    if resource.identifier == settings.ISSUER + MANAGEMENT_PATH and not details:
        return _managed(scope, actions)
    return wanted.wanted(details, scope=scope, resource=resource.identifier, actions=actions)


def _managed(scope: Sequence[str], actions: Sequence[Action]) -> tuple[Wanted, ...]:
    """Return the actions of our own API: there a scope is the action, and policy judges its reversibility."""
    by_name = {action.name: action for action in actions}
    if not set(scope) <= by_name.keys():
        raise InvalidScope
    return tuple(Wanted(by_name[name], None, by_name[name].reversibility) for name in scope)


def _as_oauth(error: WantedRefused) -> OAuthError:
    kind = InvalidScope if error.code == "invalid_scope" else InvalidAuthorizationDetails
    return kind(error.public)
