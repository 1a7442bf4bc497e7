"""Registering and changing an agent with all that belongs to it: one verb for pages, API and apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authorization.services.clients import ClientSettings, configure_client
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
) -> None:
    """Change an agent, who answers for it, its keys and its client row; what is the same writes no entry."""
    with transaction.atomic():
        update_agent(agent, command, by=by, now=now)
        transfer_owner(agent, to=owner, by=by, now=now)
        set_keys(agent.ref, keys, by=by, now=now)
        configure_client(agent, client, by=by, now=now)
    agent.refresh_from_db()


def set_keys(holder_ref: str, keys: Keys, *, by: str, now: datetime) -> None:
    """Give a holder its keys. Raises KeysRefused, FetchRefused."""
    if keys.jwks is not None:
        credentials.register_keys(holder_ref, keys.jwks, by=by, now=now)
    if keys.jwks_uri:
        credentials.set_jwks_uri(holder_ref, keys.jwks_uri, by=by, now=now)
    elif keys.jwks_uri == "":
        credentials.drop_jwks_uri(holder_ref, by=by, now=now)


def register_resource_with_keys(command: RegisterResource, *, keys: Keys, by: str, now: datetime) -> Resource:
    """Register a resource with the keys that its server introspects with, all of it or nothing."""
    with transaction.atomic():
        resource = register_resource(command, by=by, now=now)
        set_keys(resource.ref, keys, by=by, now=now)
    return resource
