"""Client authentication by certificate: a name under an authority, a key that was registered, or an X.509-SVID.

Spec: RFC 8705 §2; draft-ietf-oauth-spiffe-client-auth (X.509-SVID); X509-SVID §5.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils.translation import gettext as _

from aims.authentication import paths
from aims.authentication.certificate import Certificate
from aims.authentication.client import Client, Registered, Registrations, client_of, usable
from aims.authentication.errors import InvalidClient
from aims.authentication.replay import Proof
from aims.credentials import queries as credentials
from aims.credentials.services.registered import refresh_source
from aims.identifier.models import Agent
from aims.kit.jose import JoseRefused, thumbprint_of_pem

REMEMBERED = timedelta(seconds=30)
Check = Callable[[Certificate | None, Agent, Registered, datetime], bool]


def authenticate(
    certificate: Certificate | None,
    *,
    client_id: str | None,
    allowed: Mapping[str, Check],
    registered: Registrations,
    now: datetime,
) -> Client:
    """Return the client that this certificate belongs to, by the method that it registered. Raises InvalidClient.

    Whatever is wrong gets one answer: no such client, another method, another certificate, no authority.
    allowed: the methods that may be used here.
    """
    if client_id is None or not client_id.isprintable():
        raise InvalidClient(_("Authenticate, or send client_id with a client certificate."), reason="no_assertion")
    agent = Agent.objects.select_related("owner", "trust_domain").filter(identifier=client_id).first()
    terms = registered(agent, False) if agent else Registered()
    check = allowed.get(terms.method)
    if agent is None or check is None or not check(certificate, agent, terms, now):
        raise InvalidClient(reason="certificate" if agent and certificate else "unknown_client")
    x5t_s256 = certificate.x5t_s256 if certificate and terms.method in METHODS else ""
    return usable(client_of(agent, _proof(agent, now=now), x5t_s256=x5t_s256))


def _proof(agent: Agent, *, now: datetime) -> Proof:
    """Return what is spent: the handshake is the proof and can't be sent twice, so this is a new one each time."""
    return Proof(
        client_ref=agent.ref,
        jti_hash=secrets.token_hex(32),
        issued_at=now,
        expires_at=now + REMEMBERED,
        agent=agent.identifier,
    )


def _is_named(certificate: Certificate, agent: Agent, terms: Registered, now: datetime) -> bool:
    """RFC 8705 §2.1: the certificate leads to an authority of the agent's trust domain, and bears the registered name."""
    return (
        bool(terms.tls_name)
        and paths.has_name(certificate.leaf, name=terms.tls_name, value=terms.tls_value)
        and paths.is_client_leaf(certificate.leaf, must_say_usage=False)
        and _leads_to_domain(certificate, agent, now=now)
    )


def _is_registered(certificate: Certificate, agent: Agent, terms: Registered, now: datetime) -> bool:
    """RFC 8705 §2.2: the certificate's key is one that the client registered; who issued it says nothing.

    By the key and not by the bytes: a new certificate for the same key needs no registration.
    """
    if not (
        paths.is_in_time(certificate.leaf, now=now) and paths.is_client_leaf(certificate.leaf, must_say_usage=False)
    ):
        return False
    pem = certificate.leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        wanted = thumbprint_of_pem(pem)
    except JoseRefused:
        return False
    if _holds(agent, wanted):
        return True
    return refresh_source(agent.ref, now=now) and _holds(agent, wanted)


def _is_svid(certificate: Certificate, agent: Agent, terms: Registered, now: datetime) -> bool:
    """draft-ietf-oauth-spiffe-client-auth; X509-SVID §5.2: of this identity, by an authority of its own trust domain."""
    return (
        paths.spiffe_id(certificate.leaf) == agent.identifier
        and paths.is_client_leaf(certificate.leaf, must_say_usage=True)
        and _leads_to_domain(certificate, agent, now=now)
    )


def _leads_to_domain(certificate: Certificate, agent: Agent, *, now: datetime) -> bool:
    bundle = credentials.bundle_of(agent.trust_domain.name)
    authorities = bundle.authorities if bundle else ()
    return paths.leads_to(authorities, certificate.leaf, certificate.intermediates, now=now)


def _holds(agent: Agent, wanted: str) -> bool:
    return wanted in {key.thumbprint for key in credentials.keys_of(agent.ref)}


def _with_certificate(check: Callable[[Certificate, Agent, Registered, datetime], bool]) -> Check:
    return lambda certificate, agent, terms, now: certificate is not None and check(certificate, agent, terms, now)


METHODS: dict[str, Check] = {
    "tls_client_auth": _with_certificate(_is_named),
    "self_signed_tls_client_auth": _with_certificate(_is_registered),
    "spiffe_x509": _with_certificate(_is_svid),
}
# RFC 6749 §3.2.1: a public client only says who it is; what it brings along must prove the rest.
PUBLIC: dict[str, Check] = {"none": lambda certificate, agent, terms, now: True}
