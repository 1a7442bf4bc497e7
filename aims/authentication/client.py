"""Client authentication by ``private_key_jwt``: agents, and resource servers that introspect. Spec: RFC 7523 §3."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from joserfc.jwk import ECKey

from aims.authentication.errors import InvalidClient, ManyMethods, ProofReplayed
from aims.credentials import queries as credentials
from aims.credentials.jwks import PublicKey
from aims.credentials.services.registered import refresh_source
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.forms import Form, single
from aims.kit.jose import (
    ALGORITHMS,
    JoseKey,
    JoseRefused,
    Unverified,
    import_public,
    parse,
    verify,
)
from aims.kit.kept import Kept

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AHEAD_MAX_S = 300
SKEW_S = 30
JTI_MAX = 255
# draft-ietf-oauth-rfc7523bis: the explicit type is accepted, not demanded.
TYPES = (None, "jwt", "client-authentication+jwt")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What must be remembered so that the assertion counts once."""

    client_ref: str
    jti_hash: str
    expires_at: datetime
    agent: str | None


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who authenticated: an agent or a resource server, never both, and the proof that is still to be spent.

    is_recalled: from this process's memory. Such a client may be granted something by a write that depends on
    ``agent.version``, and is never refused anything: whoever would refuse authenticates again, from the database.
    """

    identifier: str
    ref: str
    agent: Agent | None
    resource: Resource | None
    proof: Proof
    is_recalled: bool = False


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
    expires_at: datetime


def authenticate(form: Form, *, headers: Mapping[str, str], now: datetime, may_recall: bool = False) -> Client:
    """Return the client that signed the assertion in this form. Raises InvalidClient, ManyMethods, FormRefused.

    Nothing is written: ``spend`` the proof in the request's one write transaction, whether it grants or refuses.
    may_recall: an agent may come from this process's memory; see Client.is_recalled.
    """
    assertion = _assertion(form, headers)
    token = _parsed(assertion)
    claims = _checked(token.claims, client_id=single(form, "client_id"), now=now)
    if may_recall and (client := _recalled(token, claims)):
        return client
    holder = _holder(claims.client_id)
    _verify(token, holder, now)
    assert holder is not None
    return _usable(holder, claims)


def spend(proof: Proof) -> None:
    """Remember the proof inside the caller's transaction. Raises ProofReplayed if it was spent before.

    The insert is the check: of two equal assertions at once, one waits for the other and then inserts nothing.
    """
    assert connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO authentication_spentproof (client_ref, jti_hash, expires_at) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [proof.client_ref, proof.jti_hash, proof.expires_at],
        )
        if cursor.rowcount != 1:
            raise ProofReplayed(agent=proof.agent)


def _assertion(form: Form, headers: Mapping[str, str]) -> str:
    """Return the assertion if it is the one method used. Spec: RFC 6749 §2.3: one method a request."""
    has_header = "Authorization" in headers
    has_assertion = "client_assertion" in form or "client_assertion_type" in form
    has_secret = "client_secret" in form
    if has_header + has_assertion + has_secret > 1:
        raise ManyMethods
    if single(form, "client_assertion_type") != ASSERTION_TYPE:
        raise InvalidClient(_("Authenticate with private_key_jwt."), reason="no_assertion")
    assertion = single(form, "client_assertion")
    if assertion is None:
        raise InvalidClient(_("client_assertion is missing."), reason="no_assertion")
    return assertion


def _parsed(assertion: str) -> Unverified:
    try:
        return parse(assertion, algorithms=ALGORITHMS, typ=TYPES)
    except JoseRefused as error:
        raise InvalidClient(error.public, reason=error.code) from error


def _checked(claims: Mapping[str, Any], *, client_id: str | None, now: datetime) -> _Claims:
    """Return the claims if they say what RFC 7523 §3 wants. The same answer whether the client exists or not."""
    subject, jti, audience = claims.get("sub"), claims.get("jti"), claims.get("aud")
    if not isinstance(subject, str) or not subject or claims.get("iss") != subject:
        raise InvalidClient(_("iss and sub must both be the client_id."), reason="issuer")
    if client_id is not None and client_id != subject:
        raise InvalidClient(_("client_id differs from the assertion's sub."), reason="client_id")
    # draft-ietf-oauth-rfc7523bis §4: the issuer identifier is the only value; an endpoint's URL is not accepted.
    if audience != settings.ISSUER and audience != [settings.ISSUER]:
        raise InvalidClient(_("aud must be the issuer, and only it."), reason="audience")
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_MAX or not jti.isprintable():
        raise InvalidClient(_("jti must be a string of 1 to 255 printable characters."), reason="jti")
    return _Claims(client_id=subject, jti=jti, expires_at=_lifetime(claims, now))


def _lifetime(claims: Mapping[str, Any], now: datetime) -> datetime:
    issued, expires, not_before = (_numeric_date(claims, name) for name in ("iat", "exp", "nbf"))
    at = now.timestamp()
    if issued is None or issued > at + SKEW_S:
        raise InvalidClient(_("iat is missing or in the future."), reason="issued_at")
    if expires is None or expires <= at - SKEW_S:
        raise InvalidClient(_("exp is missing or has passed."), reason="expired")
    if expires > at + AHEAD_MAX_S + SKEW_S or expires <= issued:
        raise InvalidClient(_("exp must be at most 300 seconds ahead."), reason="expires_late")
    if not_before is not None and not_before > at + SKEW_S:
        raise InvalidClient(_("nbf is in the future."), reason="not_before")
    return datetime.fromtimestamp(expires, UTC) + timedelta(seconds=SKEW_S)


def _numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate, None where absent. Spec: RFC 7519 §2. Never trusts a bool, a string or an absurd year."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise InvalidClient(_("iat, exp and nbf must be NumericDates."), reason="numeric_date")
    return float(value)


def _holder(client_id: str) -> Agent | Resource | None:
    agent = Agent.objects.select_related("owner").filter(identifier=client_id).first()
    return agent or Resource.objects.filter(identifier=client_id, retired_at=None).first()


def _verify(token: Unverified, holder: Agent | Resource | None, now: datetime) -> None:
    """Raise InvalidClient unless a key of the holder signed it; for an unknown holder after the same work."""
    kid, algorithm = _slot(token)
    found = _key_of(holder, kid, algorithm) if holder else credentials.key_for("agt_unknown", kid, algorithm)
    # An unknown kid may be a rotated one: look where the holder publishes, if that is due.
    if found is None and holder and refresh_source(holder.ref, now=now):
        found = credentials.key_for(holder.ref, kid, algorithm)
    try:
        verify(token, key=import_key(found.jwk) if found else _nobodys_key())
    except JoseRefused as error:
        raise InvalidClient(reason="signature" if holder else "unknown_client") from error
    if not found or not holder:  # nobody can sign with nobody's key; this line is for the reader
        raise InvalidClient(reason="unknown_client")


def _recalled(token: Unverified, claims: _Claims) -> Client | None:
    """Return the client from memory if a key kept for it signed this; None where the database has to say."""
    known = _known.get(claims.client_id)
    if known is None or known.agent.state != AgentState.ACTIVE:
        return None
    key = known.keys.get(_slot(token))
    if key is None:
        return None
    try:
        verify(token, key=import_key(key.jwk))
    except JoseRefused:
        return None
    return _client(known.agent, claims, is_recalled=True)


def _key_of(holder: Agent | Resource, kid: str | None, algorithm: str) -> PublicKey | None:
    """Return the holder's key. An agent's is kept by the agent's version, which rises with every change of its keys."""
    if not isinstance(holder, Agent):
        return credentials.key_for(holder.ref, kid, algorithm)
    known = _known.get(holder.identifier)
    if known is None or (known.agent.ref, known.agent.version) != (holder.ref, holder.version):
        known = _known.keep(holder.identifier, _Known(agent=holder, keys={}))
    found = known.keys.get((kid, algorithm)) or credentials.key_for(holder.ref, kid, algorithm)
    if found is not None:  # at most every key of the holder, with and without its kid
        known.keys[kid, algorithm] = found
    return found


def _slot(token: Unverified) -> tuple[str | None, str]:
    return token.header.get("kid"), str(token.header["alg"])


def _usable(holder: Agent | Resource, claims: _Claims) -> Client:
    client = _client(holder, claims, is_recalled=False)
    if client.agent and client.agent.state != AgentState.ACTIVE:
        raise AgentNotUsable(client)
    return client


def _client(holder: Agent | Resource, claims: _Claims, *, is_recalled: bool) -> Client:
    is_agent = isinstance(holder, Agent)
    proof = Proof(
        client_ref=holder.ref,
        jti_hash=hashlib.sha256(claims.jti.encode()).hexdigest(),
        expires_at=claims.expires_at,
        agent=holder.identifier if is_agent else None,
    )
    return Client(
        identifier=holder.identifier,
        ref=holder.ref,
        agent=holder if isinstance(holder, Agent) else None,
        resource=holder if isinstance(holder, Resource) else None,
        proof=proof,
        is_recalled=is_recalled,
    )


class AgentNotUsable(InvalidClient):
    """The agent proved who it is, and is suspended or retired. Its proof is spent with the record of the refusal."""

    def __init__(self, client: Client) -> None:
        assert client.agent is not None
        self.client = client
        state = client.agent.state
        super().__init__(
            _("The client is %(state)s.") % {"state": state},
            reason=f"agent_{state}",
            agent=client.identifier,
        )


def import_key(jwk: Mapping[str, Any]) -> JoseKey:
    """Return the key of a JWK we stored; reading one costs 15 µs, so it is kept by its text."""
    return _import_text(tuple(sorted((name, value) for name, value in jwk.items() if isinstance(value, str))))


@lru_cache(maxsize=4096)
def _import_text(members: tuple[tuple[str, str], ...]) -> JoseKey:
    return import_public(dict(members))


@cache
def _nobodys_key() -> ECKey:
    return ECKey.generate_key("P-256")
