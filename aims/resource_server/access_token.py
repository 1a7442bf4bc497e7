"""An access token: of our issuer, for us, now. Pure. Spec: RFC 9068 §4, RFC 7519 §4.1."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import jws
from .errors import (
    TokenClaims,
    TokenExpired,
    TokenKeyUnknown,
    TokenMalformed,
    TokenNotYetValid,
    TokenSignature,
    WrongAudience,
    WrongIssuer,
)

TYP = "at+jwt"
NAME_MAX = 2048
_NAMES = ("iss", "sub", "client_id", "jti")

KeyLookup = Callable[[str], jws.Key | None]


def check(
    token: str,
    *,
    issuer: str,
    identifier: str,
    keys: KeyLookup,
    algorithms: Collection[str],
    skew_s: float,
    now: float,
) -> Mapping[str, Any]:
    """Return the claims of a token that holds here. Raises InvalidToken: a class for each rule.

    issuer, identifier: compared character by character. keys: the issuer's key of a ``kid``. now: NumericDate.
    """
    claims = _signed(token, keys, algorithms)
    if not all(_is_name(claims.get(name)) for name in _NAMES):  # RFC 9068 §2.2
        raise TokenClaims
    if claims["iss"] != issuer:
        raise WrongIssuer
    if identifier not in _audiences(claims.get("aud")):
        raise WrongAudience
    _guard_times(claims, skew_s, now)
    return claims


def _signed(token: str, keys: KeyLookup, algorithms: Collection[str]) -> Mapping[str, Any]:
    try:
        parsed = jws.parse(token, typ=TYP, algorithms=algorithms)
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


def _audiences(audience: object) -> Collection[object]:
    """Return the audiences of a token; none where the claim is not what RFC 7519 §4.1.3 allows."""
    named = audience if isinstance(audience, list) else [audience]
    return named if all(_is_name(name) for name in named) else ()


def _guard_times(claims: Mapping[str, Any], skew_s: float, now: float) -> None:
    expires, issued, not_before = (claims.get(name) for name in ("exp", "iat", "nbf"))
    if not jws.is_date(expires) or not jws.is_date(issued) or not (not_before is None or jws.is_date(not_before)):
        raise TokenClaims
    if now >= expires + skew_s:
        raise TokenExpired
    if issued > now + skew_s or (not_before is not None and not_before > now + skew_s):
        raise TokenNotYetValid


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= NAME_MAX and value.isprintable()
