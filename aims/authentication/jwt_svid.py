"""Client authentication by JWT-SVID: a token that the agent's trust domain signed, for us alone, and for minutes.

It is a bearer credential: whoever has it is believed. So it must be young, it must be for us, and it counts once.
Spec: draft-ietf-oauth-spiffe-client-auth (jwt-spiffe); JWT-SVID §2, §3, §4.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.utils.translation import gettext as _

from aims.authentication.claims import Life, is_for_us, life_of
from aims.authentication.client import Client, client_of, usable
from aims.authentication.errors import InvalidClient
from aims.authentication.keys import is_signed, parsed
from aims.authentication.replay import Proof
from aims.credentials import queries as credentials
from aims.credentials.queries import one_of
from aims.identifier.models import Agent
from aims.identifier.uri import IdentifierRefused, WorkloadIdentifier, parse_agent
from aims.kit.jose import ALGORITHMS, Unverified

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
# JWT-SVID §2.1: RS, ES and PS, no EdDSA; of these, ours.
SVID_ALGORITHMS = ALGORITHMS & {"ES256", "ES384", "PS256"}
_HEADER = {"alg", "kid", "typ"}  # §2: no other
_TYPES = (None, "jwt", "jose")


def authenticate(assertion: str, *, client_id: str | None, now: datetime) -> Client:
    """Return the client that a JWT-SVID names. Raises InvalidClient. Nothing is written; see ``Client.proof``."""
    token = parsed(assertion, algorithms=SVID_ALGORITHMS, typ=_TYPES)
    identifier = _subject(token, client_id)
    life = life_of(token.claims, needs_iat=False, now=now)
    agent = signed_by_domain(token, identifier, keys="jwt_keys")
    return usable(client_of(agent, _proof(agent, token, life)))


def signed_by_domain(token: Unverified, identifier: WorkloadIdentifier, *, keys: str) -> Agent:
    """Return the agent of an identity that its own trust domain signed for. Raises InvalidClient.

    keys: which of the bundle's. One verification and the same two questions, whoever is named and whoever is not.
    """
    bundle = credentials.bundle_of(identifier.trust_domain)
    agent = Agent.objects.select_related("owner", "trust_domain").filter(identifier=str(identifier)).first()
    held = getattr(bundle, keys) if bundle else ()
    key = one_of(held, token.header.get("kid"), str(token.header["alg"]))
    if not is_signed(token, key) or agent is None:
        raise InvalidClient(reason="signature" if agent else "unknown_client")
    return agent


def _subject(token: Unverified, client_id: str | None) -> WorkloadIdentifier:
    if not token.header.keys() <= _HEADER or not token.header.get("kid"):
        raise InvalidClient(_("A JWT-SVID has a kid, and nothing besides alg and typ."), reason="header")
    subject = token.claims.get("sub")
    try:
        identifier = parse_agent(subject if isinstance(subject, str) else "")
    except IdentifierRefused as error:
        raise InvalidClient(_("sub must be a SPIFFE ID."), reason="subject") from error
    if identifier.scheme != "spiffe":
        raise InvalidClient(_("sub must be a SPIFFE ID."), reason="subject")
    if client_id is not None and client_id != subject:
        raise InvalidClient(_("client_id differs from the assertion's sub."), reason="client_id")
    # JWT-SVID §3.2 allows several; at a token endpoint the issuer is the only one.
    if not is_for_us(token.claims.get("aud")):
        raise InvalidClient(_("aud must be the issuer, and only it."), reason="audience")
    return identifier


def _proof(agent: Agent, token: Unverified, life: Life) -> Proof:
    """Return what makes it count once. Normally there is no jti, so it is all that was signed.

    Not the whole token: of one ECDSA signature anybody can make a second that is as good.
    """
    return Proof(
        client_ref=agent.ref,
        jti_hash=hashlib.sha256(b"jwt-svid\0" + token.signing_input).hexdigest(),
        issued_at=life.issued_at,
        expires_at=life.expires_at,
        agent=agent.identifier,
    )
