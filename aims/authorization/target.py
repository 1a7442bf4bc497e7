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
from aims.kit.kept import Kept

MANAGEMENT_PATH = "/api/v1/"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One resource, what is to be done there, and the scope and details that say so."""

    resource: Resource
    scope: str
    details: tuple[Mapping[str, Any], ...]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """A resource and its actions as they were read; good for one version of the resource."""

    resource: Resource
    actions: tuple[Action, ...]


_known: Kept[str, _Listed] = Kept()


def read_target(
    *, resources: Sequence[str], scope: str | None, details: str | None, may_recall: bool = False
) -> Target:
    """Return what a token request means. Raises InvalidTarget, InvalidScope, InvalidAuthorizationDetails.

    may_recall: the resource may come from this process's memory; then the write depends on ``resource.version``.
    """
    try:
        parsed = wanted.read_details(details) if details else ()
        listed = _listed(resources, parsed, may_recall=may_recall)
        names = tuple(dict.fromkeys((scope or "").split()))
        return Target(
            resource=listed.resource,
            scope=" ".join(names),
            details=parsed,
            wanted=_wanted(listed, names, parsed),
        )
    except WantedRefused as error:
        raise _as_oauth(error) from error


def loggable(resources: Sequence[str]) -> str | None:
    """Return the resource asked for if it may stand in the log: one that is registered. The log takes no free text."""
    known = Resource.objects.filter(identifier__in=list(resources)[:2])
    return known[0].identifier if len(resources) == 1 and known else None


def _listed(resources: Sequence[str], details: Sequence[Mapping[str, Any]], *, may_recall: bool) -> _Listed:
    """Return the one resource named, or the one location that all details share (RFC 9396 §2.2)."""
    places = set(resources) or {place for detail in details for place in _locations(detail)}
    if len(places) != 1:
        raise InvalidTarget
    place = places.pop()
    listed = (_known.get(place) if may_recall else None) or _read(place)
    if listed is None:
        raise InvalidTarget
    return listed


def _read(identifier: str) -> _Listed | None:
    found = Resource.objects.prefetch_related("actions").filter(identifier=identifier, retired_at=None).first()
    if found is None:
        return None
    known = _known.get(identifier)
    if known and (known.resource.ref, known.resource.version) == (found.ref, found.version):
        return _known.keep(identifier, known)  # what others have made of it stays good
    actions = tuple(Action(row.name, row.title, row.detail_type, row.reversibility) for row in found.actions.all())
    return _known.keep(identifier, _Listed(resource=found, actions=actions))


def _locations(detail: Mapping[str, Any]) -> list[str]:
    places = detail.get("locations", [])
    return [place for place in places if isinstance(place, str)] if isinstance(places, list) else []


def _wanted(listed: _Listed, scope: Sequence[str], details: Sequence[Mapping[str, Any]]) -> tuple[Wanted, ...]:
    if OPENID in scope:
        raise InvalidScope("openid needs a person: ask at the backchannel endpoint.")
    if not scope and not details:
        raise InvalidScope("Say in scope or authorization_details what you want to do.")
    resource, actions = listed.resource.identifier, listed.actions
    if resource == settings.ISSUER + MANAGEMENT_PATH and not details:
        return _managed(scope, actions)
    return wanted.wanted(details, scope=scope, resource=resource, actions=actions)


def _managed(scope: Sequence[str], actions: Sequence[Action]) -> tuple[Wanted, ...]:
    """Return the actions of our own API: there a scope is the action, and policy judges its reversibility."""
    by_name = {action.name: action for action in actions}
    if not set(scope) <= by_name.keys():
        raise InvalidScope
    return tuple(Wanted(by_name[name], None, by_name[name].reversibility) for name in scope)


def _as_oauth(error: WantedRefused) -> OAuthError:
    kind = InvalidScope if error.code == "invalid_scope" else InvalidAuthorizationDetails
    return kind(error.public)
