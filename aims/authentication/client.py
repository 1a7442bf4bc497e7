"""Client authentication by ``private_key_jwt``: agents, and resource servers that introspect. Spec: RFC 7523 §3."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from joserfc.jwk import ECKey, OKPKey, RSAKey

from aims.authentication.bound import Bound
from aims.authentication.dpop import KeyProof
from aims.authentication.errors import InvalidClient, ManyMethods
from aims.authentication.replay import Proof
from aims.credentials import queries as credentials
from aims.credentials.jwks import PublicKey
from aims.credentials.services.registered import refresh_source
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.forms import Form, single
from aims.kit.jose import (
    ALGORITHMS,
    RSA_MIN_BITS,
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
NOBODY = "agt_unknown"  # holds no key; asked about where there is no client, so that the work is the same
# draft-ietf-oauth-rfc7523bis: the explicit type is accepted, not demanded.
TYPES = (None, "jwt", "client-authentication+jwt")


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who authenticated: an agent or a resource server, never both, and the proof that is still to be spent.

    key: proved by DPoP, None where the request has no such proof. x5t_s256: SHA-256 of its certificate (base64url), where
    what is issued will be bound to that, else empty.
    is_recalled: from this process's memory. Such a client may be granted something by a write that depends on
    ``agent.version``, and is never refused anything: whoever would refuse authenticates again, from the database.
    """

    identifier: str
    ref: str
    agent: Agent | None
    resource: Resource | None
    proof: Proof
    is_recalled: bool = False
    key: KeyProof | None = None
    x5t_s256: str = ""

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """All that must be spent with this request: its own proof first, then that of its key."""
        return (self.proof, self.key.proof) if self.key else (self.proof,)

    @property
    def jkt(self) -> str:
        """The thumbprint of the key that what is issued will be bound to; empty where there is none."""
        return self.key.jkt if self.key else ""

    @property
    def binding(self) -> str:
        """How what is issued will be bound, as the policy may ask."""
        return self.bound.binding

    @property
    def bound(self) -> Bound:
        """What that which is issued will be bound to."""
        return Bound(jkt=self.jkt, x5t_s256=self.x5t_s256)


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
    issued_at: datetime
    expires_at: datetime


def authenticate(form: Form, *, headers: Mapping[str, str], now: datetime, may_recall: bool = False) -> Client:
    """Return the client that signed the assertion in this form. Raises InvalidClient, ManyMethods, FormRefused.

    Nothing is written: ``replay.spend`` the proof in the request's one write transaction, whether it grants or refuses.
    may_recall: an agent may come from this process's memory; see Client.is_recalled.
    """
    assertion = _assertion(form, headers)
    token = _parsed(assertion)
    claims = _checked(token.claims, client_id=single(form, "client_id"), now=now)
    known = _known.get(claims.client_id) if may_recall else None
    tried = known.keys.get(_slot(token)) if known and known.agent.state == AgentState.ACTIVE else None
    if known and tried and _is_signed(token, tried):
        return _client(known.agent, claims, is_recalled=True)
    return _usable(_signer(token, claims.client_id, tried, now=now), claims)


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
    # Printable: PostgreSQL takes no NUL, and a name that it can't hold is nobody's.
    if not isinstance(subject, str) or not subject or not subject.isprintable() or claims.get("iss") != subject:
        raise InvalidClient(_("iss and sub must both be the client_id."), reason="issuer")
    if client_id is not None and client_id != subject:
        raise InvalidClient(_("client_id differs from the assertion's sub."), reason="client_id")
    # draft-ietf-oauth-rfc7523bis §4: the issuer identifier is the only value; an endpoint's URL is not accepted.
    if audience != settings.ISSUER and audience != [settings.ISSUER]:
        raise InvalidClient(_("aud must be the issuer, and only it."), reason="audience")
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_MAX or not jti.isprintable():
        raise InvalidClient(_("jti must be a string of 1 to 255 printable characters."), reason="jti")
    issued_at, expires_at = _lifetime(claims, now)
    return _Claims(client_id=subject, jti=jti, issued_at=issued_at, expires_at=expires_at)


def _lifetime(claims: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """Return when the assertion was made, and until when it must be remembered."""
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
    return datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC) + timedelta(seconds=SKEW_S)


def _numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate, None where absent. Spec: RFC 7519 §2. Never trusts a bool, a string or an absurd year."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise InvalidClient(_("iat, exp and nbf must be NumericDates."), reason="numeric_date")
    return float(value)


def _signer(token: Unverified, client_id: str, tried: PublicKey | None, *, now: datetime) -> Agent | Resource:
    """Return who signed it. tried: a remembered key that did not verify it. Raises InvalidClient.

    Unknown client, unknown key and bad signature cost the same: one verification, and the same questions to the
    database. Only a client that publishes its keys may be seen to be fetched from, at most once a minute.
    """
    agent = Agent.objects.select_related("owner").filter(identifier=client_id).first()
    kept = _kept_keys(agent).get(_slot(token)) if agent else None
    if agent and kept and kept != tried:
        if _is_signed(token, kept):
            return agent
        tried = kept
    resource = Resource.objects.filter(identifier=client_id, retired_at=None).first()
    holder = agent or resource
    found = _key_of(holder.ref if holder else NOBODY, token, now=now)
    is_new = tried is None or (found is not None and found != tried)
    if is_new and _is_signed(token, found) and holder and found:
        _keep(holder, token, found)
        return holder
    if found:
        refresh_source(NOBODY, now=now)  # what an unknown key asks
    raise InvalidClient(reason="signature" if holder else "unknown_client")


def _is_signed(token: Unverified, key: PublicKey | None) -> bool:
    """Return whether this key signed it; without a key, after the same work, that none did."""
    try:
        verify(token, key=import_key(key.jwk) if key else _nobodys_key(str(token.header["alg"])))
    except JoseRefused:
        return False
    return key is not None  # nobody can sign with nobody's key; this is for the reader


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
        issued_at=claims.issued_at,
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
def _nobodys_key(algorithm: str) -> JoseKey:
    """Return a key of the algorithm's kind, so that refusing an unknown client takes as long as a known one."""
    match algorithm:
        case "PS256":
            return RSAKey.generate_key(RSA_MIN_BITS)
        case "EdDSA" | "Ed25519":
            return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key("P-384" if algorithm == "ES384" else "P-256")
