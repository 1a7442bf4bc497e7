"""Who sent a request, by the method that this client registered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from aims.authentication import methods
from aims.authentication.client import Client, Registered
from aims.authorization import queries
from aims.identifier.models import Agent
from aims.kit.forms import Form
from aims.kit.kept import Kept


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an agent registered about its keys. dpop_bound, tls_bound: RFC 9449 §5.2, RFC 8705 §3.4."""

    registered: Registered
    dpop_bound: bool
    tls_bound: bool


_known: Kept[tuple[str, int], Terms] = Kept()


def authenticated(
    form: Form, request: HttpRequest, *, now: datetime, may_recall: bool = False, may_be_public: bool = False
) -> Client:
    """Return who sent this. Raises InvalidClient, ManyMethods, FormRefused; see ``methods.authenticate``.

    may_be_public: a client that registered no method may name itself (RFC 6749 §3.2.1): only where its code, its refresh
    token or its verifier proves the rest.
    """
    return methods.authenticate(
        form, request, registered=_registered, now=now, may_recall=may_recall, may_be_public=may_be_public
    )


def terms_of(agent: Agent, *, may_recall: bool) -> Terms:
    """Return what an agent registered; from memory only for an agent from memory: every change raises its version."""
    slot = (agent.ref, agent.version)
    known = _known.get(slot) if may_recall else None
    return _known.keep(slot, _read(agent)) if known is None else known


def _registered(agent: Agent, may_recall: bool) -> Registered:
    return terms_of(agent, may_recall=may_recall).registered


def _read(agent: Agent) -> Terms:
    row = queries.client_of(agent)
    return Terms(
        registered=Registered(
            method=row.token_endpoint_auth_method,
            tls_name=row.tls_client_auth_name,
            tls_value=row.tls_client_auth_value,
        ),
        dpop_bound=row.dpop_bound_access_tokens,
        tls_bound=row.tls_client_certificate_bound_access_tokens,
    )
