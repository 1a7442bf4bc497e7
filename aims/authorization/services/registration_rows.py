"""The row of a client registration: locked, moved, hashed, and named in entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from aims.authorization.client_errors import NotWaiting
from aims.authorization.client_models import ClientRegistration
from aims.authorization.registration_states import RegistrationState, sources_of
from aims.identifier.models import Agent
from aims.kit.ids import tagged_hash
from audit.canonical import encode
from audit.write import NOBODY, Facts, source_hash

IPV6_PREFIX = 64  # one household has so many addresses


def move(row: ClientRegistration, to: RegistrationState, *, now: datetime, **columns: Any) -> None:
    """Move a registration to a state, and set these columns with it. Raises NotWaiting where no row moves."""
    lawful = ClientRegistration.objects.filter(pk=row.pk, state__in=sources_of(to))
    if lawful.update(state=to, state_since_at=now, **columns) != 1:
        raise NotWaiting(detail=f"{row.ref} to {to}")
    row.refresh_from_db()


def source_of(address: str) -> str:
    """Return the name under which registrations from an address are counted: a household's in one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return source_hash(address)
    if isinstance(parsed, IPv6Address):
        return source_hash(str(ip_network((parsed, IPV6_PREFIX), strict=False)))
    return source_hash(address)


def hash_of(metadata: Mapping[str, Any]) -> str:
    """Return the hash of what a client says of itself, as entries spell it."""
    return tagged_hash(b"client-metadata/v1\0" + encode(dict(metadata)))


def locked(row: ClientRegistration) -> ClientRegistration:
    """Return the row as it is now, locked until the caller's transaction ends. The row comes before its agent's."""
    return ClientRegistration.objects.select_for_update(of=("self",)).select_related("agent").get(pk=row.pk)


def facts_of(row: ClientRegistration) -> Facts:
    """Return the facts of an entry about a registration: its agent, if it is one by now."""
    agent: Agent | None = row.agent
    return Facts(**(vars(NOBODY) | {"agent": agent.identifier if agent else None}))
