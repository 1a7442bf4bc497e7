"""To whose key a token is bound, and who must bind. Spec: RFC 9449 §5, §5.2, §10."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest

from aims.authentication import dpop
from aims.authentication.client import Client
from aims.authentication.errors import InvalidDpopProof
from aims.authorization import fapi, queries
from aims.kit.kept import Kept

_known: Kept[tuple[str, int], bool] = Kept()


def with_key(client: Client, request: HttpRequest, *, now: datetime, is_demanded: bool = True) -> Client:
    """Return the client with the key that its request proves, which everything issued is bound to.

    is_demanded: whether something may be issued at once, so that who has to be bound must prove a key now.
    Nothing is written, so nothing is consumed. Raises InvalidDpopProof, UseDpopNonce.
    """
    key = dpop.read_key(
        request.headers, method=str(request.method), path=request.path, client=client.identifier, now=now
    )
    if key is None and is_demanded and _must_prove(client):
        raise InvalidDpopProof(
            "This client has registered to prove its key by DPoP with every request.", reason="missing"
        )
    bound = replace(client, key=key) if key else client
    if is_demanded and client.agent is not None:
        fapi.check_bound(is_bound=bound.binding != "none")
    return bound


def _must_prove(client: Client) -> bool:
    """Return whether the client registered ``dpop_bound_access_tokens``; that raises its version, as every change."""
    agent = client.agent
    if agent is None:
        return False
    slot = (agent.ref, agent.version)
    known = _known.get(slot) if client.is_recalled else None
    return _known.keep(slot, queries.client_of(agent).dpop_bound_access_tokens) if known is None else known
