"""Client authentication by ``private_key_jwt``: agents, and resource servers that introspect. Spec: RFC 7523 §3."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from aims.authentication.claims import Life, check_jti, is_for_us, life_of
from aims.authentication.client import Client, client_of, usable
from aims.authentication.errors import InvalidClient
from aims.authentication.keys import is_signed, parsed
from aims.authentication.replay import Proof
from aims.credentials import queries as credentials
from aims.credentials.jwks import PublicKey
from aims.credentials.services.registered import refresh_source
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.jose import ALGORITHMS, Unverified
from aims.kit.kept import Kept

NOBODY = "agt_unknown"  # holds no key; asked about where there is no client, so that the work is the same
# draft-ietf-oauth-rfc7523bis: the explicit type is accepted, not demanded.
TYPES = (None, "jwt", "client-authentication+jwt")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """An agent as it was read, and those of its keys that were asked for; good for one version of the agent."""

    agent: Agent
    keys: dict[tuple[str | None, str], PublicKey]


_known: Kept[str, _Known] = Kept()


@dataclass(frozen=True, kw_only=True)
class _Claims:
    client_id: str
    jti: str
    life: Life


def authenticate(assertion: str, *, client_id: str | None, now: datetime, may_recall: bool) -> Client:
    """Return the client that signed the assertion. Raises InvalidClient.

    Nothing is written: ``replay.spend`` the proof in the request's one write transaction, whether it grants or refuses.
    may_recall: an agent may come from this process's memory; see Client.is_recalled.
    """
    token = read(assertion)
    claims = _checked(token.claims, client_id=client_id, now=now)
    known = _known.get(claims.client_id) if may_recall else None
    tried = _tried(known, token)
    if known and tried and is_signed(token, tried):
        return client_of(known.agent, _proof(known.agent, claims), is_recalled=True)
    holder = _signer(token, claims.client_id, tried, now=now)
    return usable(client_of(holder, _proof(holder, claims)))


def read(assertion: str) -> Unverified:
    """Return an assertion taken apart: nobody has checked what it says. Raises InvalidClient."""
    return parsed(assertion, algorithms=ALGORITHMS, typ=TYPES)


def recalled(token: Unverified, agent: Agent, *, now: datetime) -> Client | None:
    """Return the client if this very agent, as it is in memory, signed it; None where that is not for memory to say.

    agent: of a client that was recalled before. Raises InvalidClient.
    """
    claims = _checked(token.claims, client_id=None, now=now)
    known = _known.get(claims.client_id)
    tried = _tried(known, token)
    is_theirs = known is not None and known.agent is agent and tried is not None and is_signed(token, tried)
    return client_of(agent, _proof(agent, claims), is_recalled=True) if is_theirs else None


def _tried(known: _Known | None, token: Unverified) -> PublicKey | None:
    """Return the remembered key that a token must be signed with, None for an agent that is not known or not active."""
    return known.keys.get(_slot(token)) if known and known.agent.state == AgentState.ACTIVE else None


def _checked(claims: Mapping[str, Any], *, client_id: str | None, now: datetime) -> _Claims:
    """Return the claims if they say what RFC 7523 §3 wants. The same answer whether the client exists or not."""
    subject = claims.get("sub")
    # Printable: PostgreSQL takes no NUL, and a name that it can't hold is nobody's.
    if not isinstance(subject, str) or not subject or not subject.isprintable() or claims.get("iss") != subject:
        raise InvalidClient(_("iss and sub must both be the client_id."), reason="issuer")
    if client_id is not None and client_id != subject:
        raise InvalidClient(_("client_id differs from the assertion's sub."), reason="client_id")
    # draft-ietf-oauth-rfc7523bis §4: the issuer identifier is the only value; an endpoint's URL is not accepted.
    if not is_for_us(claims.get("aud")):
        raise InvalidClient(_("aud must be the issuer, and only it."), reason="audience")
    jti = check_jti(claims.get("jti"))
    return _Claims(client_id=subject, jti=jti, life=life_of(claims, needs_iat=True, now=now))


def _signer(token: Unverified, client_id: str, tried: PublicKey | None, *, now: datetime) -> Agent | Resource:
    """Return who signed it. tried: a remembered key that did not verify it. Raises InvalidClient.

    Unknown client, unknown key and bad signature cost the same: one verification, and the same questions to the
    database. Only a client that publishes its keys may be seen to be fetched from, at most once a minute.
    """
    agent = Agent.objects.select_related("owner").filter(identifier=client_id).first()
    kept = _kept_keys(agent).get(_slot(token)) if agent else None
    if agent and kept and kept != tried:
        if is_signed(token, kept):
            return agent
        tried = kept
    resource = Resource.objects.filter(identifier=client_id, retired_at=None).first()
    holder = agent or resource
    found = _key_of(holder.ref if holder else NOBODY, token, now=now)
    is_new = tried is None or (found is not None and found != tried)
    if is_new and is_signed(token, found) and holder and found:
        _keep(holder, token, found)
        return holder
    if found:
        refresh_source(NOBODY, now=now)  # what an unknown key asks
    raise InvalidClient(reason="signature" if holder else "unknown_client")


def _key_of(holder_ref: str, token: Unverified, *, now: datetime) -> PublicKey | None:
    """Return the holder's key by what the database says."""
    found = credentials.key_for(holder_ref, *_slot(token))
    # An unknown kid may be a rotated one: look where the holder publishes, if that is due.
    if found is None and refresh_source(holder_ref, now=now):
        found = credentials.key_for(holder_ref, *_slot(token))
    return found


def _kept_keys(agent: Agent) -> dict[tuple[str | None, str], PublicKey]:
    """Return the agent's remembered keys: kept by its version, which rises with every change of its keys."""
    known = _known.get(agent.identifier)
    is_current = known is not None and (known.agent.ref, known.agent.version) == (agent.ref, agent.version)
    return known.keys if known and is_current else {}


def _keep(holder: Agent | Resource, token: Unverified, key: PublicKey) -> None:
    if isinstance(holder, Agent):  # at most every key of the holder, with and without its kid
        _known.keep(holder.identifier, _Known(agent=holder, keys=_kept_keys(holder) | {_slot(token): key}))


def _slot(token: Unverified) -> tuple[str | None, str]:
    return token.header.get("kid"), str(token.header["alg"])


def _proof(holder: Agent | Resource, claims: _Claims) -> Proof:
    return Proof(
        client_ref=holder.ref,
        jti_hash=hashlib.sha256(claims.jti.encode()).hexdigest(),
        issued_at=claims.life.issued_at,
        expires_at=claims.life.expires_at,
        agent=holder.identifier if isinstance(holder, Agent) else None,
    )
