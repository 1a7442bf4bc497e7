"""What a client certificate must be, and whether it leads to an authority. Pure; ``cryptography`` walks the path."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from aims.identifier.uri import IdentifierRefused, parse_agent

DEPTH_MAX = 4  # intermediates
T = TypeVar("T", bound=x509.ExtensionType)


def leads_to(
    authorities: Sequence[bytes],
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    *,
    now: datetime,
) -> bool:
    """Return whether a certificate leads to one of these authorities (DER), everything on the way valid now.

    Spec: RFC 5280 §6. Nothing but these authorities is trusted, whatever the system trusts.
    """
    if not authorities:
        return False
    store = Store([x509.load_der_x509_certificate(der) for der in authorities])
    # An identity of a workload need not look like one of the web, so the leaf's own profile is the caller's.
    policy = PolicyBuilder().store(store).time(now).max_chain_depth(DEPTH_MAX)
    policy = policy.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    )
    try:
        policy.build_client_verifier().verify(leaf, list(intermediates))
    except (VerificationError, ValueError):
        return False
    return True


def is_in_time(leaf: x509.Certificate, *, now: datetime) -> bool:
    """Return whether a certificate counts now."""
    return leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc


def is_client_leaf(leaf: x509.Certificate, *, must_say_usage: bool) -> bool:
    """Return whether a certificate is for a client's signatures, and not that of a CA. Spec: RFC 5280 §4.2.1.3, .9, .12.

    must_say_usage: it has a critical key usage, as an X.509-SVID must (X509-SVID §4.3).
    """
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        return False
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or (must_say_usage and not usage.critical):
        if must_say_usage:
            return False
    elif not usage.value.digital_signature or usage.value.key_cert_sign or usage.value.crl_sign:
        return False
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    return extended is None or bool(
        {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(extended.value)
    )


def spiffe_id(leaf: x509.Certificate) -> str | None:
    """Return the identity of an X.509-SVID: its one URI, which is a SPIFFE ID with a path; else None. X509-SVID §2."""
    uris = _names(leaf, x509.UniformResourceIdentifier)
    if len(uris) != 1:
        return None
    try:
        identifier = parse_agent(uris[0])
    except IdentifierRefused:
        return None
    return uris[0] if identifier.scheme == "spiffe" else None


def has_name(leaf: x509.Certificate, *, name: str, value: str) -> bool:
    """Return whether the certificate bears exactly this name. name: of ``TLS_NAMES``. Spec: RFC 8705 §2.1.2."""
    match name:
        case "subject_dn":
            return bool(leaf.subject) and leaf.subject == distinguished(value)
        case "san_dns":
            return value.lower() in {each.lower() for each in _names(leaf, x509.DNSName)}
        case "san_uri":
            return value in _names(leaf, x509.UniformResourceIdentifier)
        case "san_ip":
            return ip_address(value) in _addresses(leaf)
        case "san_email":
            return value in _names(leaf, x509.RFC822Name)
    return False


def distinguished(text: str) -> x509.Name:
    """Return a name as RFC 4514 writes it. Raises ValueError."""
    return x509.Name.from_rfc4514_string(text)


def _names(
    leaf: x509.Certificate, kind: type[x509.DNSName | x509.UniformResourceIdentifier | x509.RFC822Name]
) -> list[str]:
    found = _extension(leaf, x509.SubjectAlternativeName)
    return [str(each) for each in found.value.get_values_for_type(kind)] if found else []


def _addresses(leaf: x509.Certificate) -> list[object]:
    found = _extension(leaf, x509.SubjectAlternativeName)
    return list(found.value.get_values_for_type(x509.IPAddress)) if found else []


def _extension(leaf: x509.Certificate, kind: type[T]) -> x509.Extension[T] | None:
    try:
        return leaf.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
