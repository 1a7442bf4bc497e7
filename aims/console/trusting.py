"""Trusting another domain's server, with its keys: one verb for pages, API and apply."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from aims.authorization.errors import TrustRefused
from aims.authorization.models import ForeignServer
from aims.authorization.services.trust import TrustServer, trust_server
from aims.console.registering import Keys, set_keys
from aims.identifier.models import Agent
from aims.people.models import User


def trust_with_keys(
    command: TrustServer, *, keys: Keys, by: str, now: datetime
) -> tuple[ForeignServer, tuple[str, ...]]:
    """Make it so, all of it or nothing; return the server and the names of what changed.

    Raises TrustRefused, KeysRefused, FetchRefused.
    """
    with transaction.atomic():
        server, changed = trust_server(command, by=by, now=now)
        return server, (*changed, *set_keys(server.ref, keys, by=by, now=now))


def person_called(email: str) -> User:
    """Return the person with this address. Raises TrustRefused."""
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        raise TrustRefused(f"Nobody here has the address {email}.", field="subjects")
    return person


def agent_called(identifier: str) -> Agent:
    """Return the agent with this identifier. Raises TrustRefused."""
    agent = Agent.objects.filter(identifier=identifier).first()
    if agent is None:
        raise TrustRefused(f"There is no agent {identifier}.", field="clients")
    return agent
