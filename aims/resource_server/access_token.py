"""An access token: of our issuer, for us, now. Pure. Spec: RFC 9068 §4, RFC 7519 §4.1."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .errors import TokenClaims, WrongAudience, WrongIssuer
from .issued import KeyLookup, guard_times, is_name, signed

TYP = "at+jwt"
_NAMES = ("iss", "sub", "client_id", "jti")


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
    claims = signed(token, typ=TYP, keys=keys, algorithms=algorithms)
    if not all(is_name(claims.get(name)) for name in _NAMES):  # RFC 9068 §2.2
        raise TokenClaims
    if claims["iss"] != issuer:
        raise WrongIssuer
    if identifier not in _audiences(claims.get("aud")):
        raise WrongAudience
    guard_times(claims, skew_s=skew_s, now=now)
    return claims


def _audiences(audience: object) -> Collection[object]:
    """Return the audiences of a token; none where the claim is not what RFC 7519 §4.1.3 allows."""
    named = audience if isinstance(audience, list) else [audience]
    return named if all(is_name(name) for name in named) else ()
