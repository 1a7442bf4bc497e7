"""Registering and changing agents and resources with all that belongs to them: one verb for pages, API and apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authorization.services.clients import ClientSettings, configure_client
from aims.console.errors import ChangedMeanwhile
from aims.credentials import queries
from aims.credentials import services as credentials
from aims.identifier.models import Agent, Resource
from aims.identifier.services import (
    RegisterAgent,
    RegisterResource,
    UpdateAgent,
    register_agent,
    register_resource,
    transfer_owner,
    update_agent,
    update_resource,
)
from aims.people.models import User


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Where an agent's or resource server's keys come from; what is None stays as it is. jwks_uri: empty drops it."""

    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None


def register(command: RegisterAgent, *, keys: Keys, client: ClientSettings, by: str, now: datetime) -> Agent:
    """Register an agent with its keys and its client row, all of it or nothing.

    Raises what ``register_agent``, ``set_keys`` and ``configure_client`` raise.
    """
    with transaction.atomic():
        agent = register_agent(command, by=by, now=now)
        set_keys(agent.ref, keys, by=by, now=now)
        configure_client(agent, client, by=by, now=now)
    agent.refresh_from_db()
    return agent


def change(
    agent: Agent,
    command: UpdateAgent,
    *,
    owner: User,
    keys: Keys,
    client: ClientSettings,
    by: str,
    now: datetime,
    seen_version: int | None = None,
) -> tuple[str, ...]:
    """Change an agent, who answers for it, its keys and its client row; return the names of what changed.

    What is the same writes no entry. seen_version: what the person had before them, if it must still be so.
    Raises ChangedMeanwhile, and what the verbs of each part raise.
    """
    with transaction.atomic():
        _check_seen(agent, seen_version)
        changed = update_agent(agent, command, by=by, now=now)
        changed += ("owner",) if transfer_owner(agent, to=owner, by=by, now=now) else ()
        changed += set_keys(agent.ref, keys, by=by, now=now)
        changed += ("delivery",) if configure_client(agent, client, by=by, now=now) else ()
    agent.refresh_from_db()
    return changed


def set_keys(holder_ref: str, keys: Keys, *, by: str, now: datetime) -> tuple[str, ...]:
    """Give a holder its keys; return which of ``keys`` and ``jwks_uri`` changed. Raises KeysRefused, FetchRefused."""
    before = _held(holder_ref)
    if keys.jwks is not None:
        credentials.register_keys(holder_ref, keys.jwks, by=by, now=now)
    if keys.jwks_uri:
        credentials.set_jwks_uri(holder_ref, keys.jwks_uri, by=by, now=now)
    elif keys.jwks_uri == "":
        credentials.drop_jwks_uri(holder_ref, by=by, now=now)
    after = _held(holder_ref)
    return tuple(name for name in after if before[name] != after[name])


def register_resource_with_keys(command: RegisterResource, *, keys: Keys, by: str, now: datetime) -> Resource:
    """Register a resource with the keys that its server introspects with, all of it or nothing."""
    with transaction.atomic():
        resource = register_resource(command, by=by, now=now)
        set_keys(resource.ref, keys, by=by, now=now)
    return resource


def change_resource(
    resource: Resource,
    command: RegisterResource,
    *,
    keys: Keys,
    by: str,
    now: datetime,
    seen_version: int | None = None,
) -> tuple[str, ...]:
    """Change a resource, its actions and its keys; return the names of what changed. Raises as ``change`` does."""
    with transaction.atomic():
        _check_seen(resource, seen_version)
        changed = update_resource(resource, command, by=by, now=now)
        changed += set_keys(resource.ref, keys, by=by, now=now)
    return changed


def _check_seen(row: Agent | Resource, seen_version: int | None) -> None:
    """Refuse to write over what somebody else changed after the form was opened: a key taken out must not come back."""
    rows = type(row)._default_manager.select_for_update()
    version: int = rows.values_list("version", flat=True).get(pk=row.pk)
    if seen_version not in (None, version):
        raise ChangedMeanwhile(detail=row.ref)


def _held(holder_ref: str) -> dict[str, object]:
    held = queries.registered_keys_of(holder_ref)
    return {
        "keys": {(key.kid, key.algorithm, key.thumbprint) for key in held},
        "jwks_uri": queries.jwks_uri_of(holder_ref),
    }
