"""The certificate that a client showed in its TLS handshake: from the server itself, or from a proxy that we trust.

Whoever ended TLS has made the client prove that it holds the key; this only says whose word that is. A header is
believed from ``AIMS_CLIENT_CERT_PROXIES`` alone: from anywhere else it is as if it were not there. Spec: RFC 9440.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from aims.authentication.errors import InvalidClient
from aims.kit.ids import b64url

HEADER, CHAIN_HEADER = "Client-Cert", "Client-Cert-Chain"
CERTIFICATE_MAX_BYTES = 16 * 1024
INTERMEDIATES_MAX = 4
_BYTES = re.compile(r":([A-Za-z0-9+/]+={0,2}):", re.ASCII)  # RFC 8941 §3.3.5


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A client's certificate and what it sent to lead to an authority."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]

    @property
    def x5t_s256(self) -> str:
        """SHA-256 of the DER, base64url. Spec: RFC 8705 §3.1."""
        return b64url(hashlib.sha256(self.leaf.public_bytes(Encoding.DER)).digest())


def certificate_of(request: HttpRequest) -> Certificate | None:
    """Return the certificate of whoever sent this; None where TLS showed none. Raises InvalidClient."""
    shown = _of_the_server(request)
    shown = _of_a_proxy(request) if shown is None else shown
    if not shown:
        return None
    try:
        leaf, *intermediates = [_read(one) for one in shown]
    except (ValueError, x509.InvalidVersion) as error:
        raise _unreadable() from error
    return Certificate(leaf=leaf, intermediates=tuple(intermediates))


def _of_the_server(request: HttpRequest) -> Sequence[bytes | str] | None:
    """Return what our own server's TLS says, leaf first; None where it says nothing about TLS.

    The ASGI TLS extension, or mod_ssl's name in WSGI. No header can have these names.
    """
    tls = getattr(request, "scope", {}).get("extensions", {}).get("tls")
    if tls is not None:
        return [] if tls.get("client_cert_error") else list(tls.get("client_cert_chain") or ())
    if request.META.get("SSL_CLIENT_VERIFY") in ("SUCCESS", "GENEROUS"):
        return [str(request.META.get("SSL_CLIENT_CERT", ""))]
    return None


def _of_a_proxy(request: HttpRequest) -> list[bytes]:
    if not _is_trusted(str(request.META.get("REMOTE_ADDR", ""))):
        return []
    said = request.headers.get(HEADER)
    if said is None:
        return []
    chain = request.headers.get(CHAIN_HEADER, "")
    # RFC 9440 §2.2, §2.3: an item and a list; repeated headers are joined with a comma, which an item does not have.
    return [_decoded(said), *(_decoded(one.strip(" \t")) for one in chain.split(",") if chain)][: INTERMEDIATES_MAX + 1]


def _decoded(item: str) -> bytes:
    found = _BYTES.fullmatch(item)
    if not found or len(item) > CERTIFICATE_MAX_BYTES * 4 // 3:
        raise _unreadable()
    try:
        return base64.b64decode(found[1], validate=True)
    except ValueError as error:
        raise _unreadable() from error


def _read(shown: bytes | str) -> x509.Certificate:
    """Return a certificate whose extensions can be read. Raises ValueError."""
    if isinstance(shown, str):
        certificate = x509.load_pem_x509_certificate(shown.encode())
    else:
        certificate = x509.load_der_x509_certificate(shown)
    try:
        _ = certificate.extensions, certificate.public_key()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm, TypeError) as error:
        raise ValueError("unreadable") from error
    return certificate


def _is_trusted(address: str) -> bool:
    try:
        parsed: Any = ip_address(address.partition("%")[0])
    except ValueError:  # a socket file has no address: name none, trust none
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == one.version and parsed in one for one in networks(tuple(settings.CLIENT_CERT_PROXIES)))


@lru_cache(maxsize=8)
def networks(named: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that a setting names. Raises ValueError for what is none."""
    return tuple(ip_network(name) for name in named)


def _unreadable() -> InvalidClient:
    return InvalidClient(_("The client certificate can't be read."), reason="certificate")
