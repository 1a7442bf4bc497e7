"""What a resource server says of itself, so that clients find its authorization server. Pure. Spec: RFC 9728 §2, §3.1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def well_known_url(identifier: str) -> str:
    """Return where the metadata of a resource is served. Raises ValueError for what is no resource identifier.

    The well-known part stands between host and path; a slash that is the whole path is dropped first.
    """
    parts = _checked(identifier)
    path = "" if parts.path == "/" else parts.path
    return urlunsplit((parts.scheme, parts.netloc, WELL_KNOWN + path, parts.query, ""))


def document(
    *,
    identifier: str,
    authorization_servers: Sequence[str],
    takes_bearer: bool,
    proof_algorithms: Collection[str],
    takes_certificates: bool = False,
    name: str = "",
    documentation: str = "",
    scopes: Sequence[str] = (),
    detail_types: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the protected resource metadata document; members without a value are left out (RFC 9728 §3.2).

    ``resource`` is the identifier to the letter: a client compares it with the one it started from (§3.3).
    """
    _checked(identifier)
    told = {
        "resource": identifier,
        "authorization_servers": list(authorization_servers),
        "scopes_supported": list(scopes),
        "bearer_methods_supported": ["header"],  # RFC 9700 §4.3.2: never in the address
        "resource_name": name,
        "resource_documentation": documentation,
        "tls_client_certificate_bound_access_tokens": takes_certificates,
        "authorization_details_types_supported": list(detail_types),
        "dpop_signing_alg_values_supported": sorted(proof_algorithms),
        "dpop_bound_access_tokens_required": not takes_bearer and not takes_certificates,
    }
    return {member: value for member, value in told.items() if value}


def _checked(identifier: str) -> SplitResult:
    """Return a resource identifier taken apart. Spec: RFC 9728 §1.2: https, no fragment; http for tests on loopback."""
    parts = urlsplit(identifier)
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not is_secure or not parts.hostname or "#" in identifier or parts.username is not None:
        raise ValueError("a resource identifier is an https URL without fragment")
    return parts
