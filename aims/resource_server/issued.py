"""What every token of an issuer must hold: its form, its key, its signature, its times. Pure. Spec: RFC 7515, RFC 7519 §4.1."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import jws
from .errors import TokenClaims, TokenExpired, TokenKeyUnknown, TokenMalformed, TokenNotYetValid, TokenSignature

NAME_MAX = 2048

KeyLookup = Callable[[str], jws.Key | None]


def signed(token: str, *, typ: str, keys: KeyLookup, algorithms: Collection[str]) -> Mapping[str, Any]:
    """Return the claims that the issuer signed. Raises TokenMalformed, TokenKeyUnknown, TokenSignature."""
    try:
        parsed = jws.parse(token, typ=typ, algorithms=algorithms)
    except jws.NotAcceptable as error:
        raise TokenMalformed(str(error)) from error
    kid = parsed.header.get("kid")
    key = keys(kid) if isinstance(kid, str) else None
    if key is None:
        raise TokenKeyUnknown
    try:
        jws.verify(parsed, key=key)
    except jws.NotAcceptable as error:
        raise TokenSignature(str(error)) from error
    return parsed.claims


def guard_times(claims: Mapping[str, Any], *, skew_s: float, now: float) -> None:
    """Refuse what has expired or is not valid yet. Raises TokenClaims, TokenExpired, TokenNotYetValid.

    ``exp`` and ``iat`` are required, ``nbf`` counts where it is there. Spec: RFC 7519 §4.1.4 to §4.1.6.
    """
    expires, issued, not_before = (claims.get(name) for name in ("exp", "iat", "nbf"))
    if not jws.is_date(expires) or not jws.is_date(issued) or not (not_before is None or jws.is_date(not_before)):
        raise TokenClaims
    if now >= expires + skew_s:
        raise TokenExpired
    if issued > now + skew_s or (not_before is not None and not_before > now + skew_s):
        raise TokenNotYetValid


def is_name(value: object) -> bool:
    """Return whether a claim is a text that can name somebody or something."""
    return isinstance(value, str) and 1 <= len(value) <= NAME_MAX and value.isprintable()
