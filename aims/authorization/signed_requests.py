"""Signed authentication requests: the parameters of a CIBA request as claims of a JWT. Pure.

Spec: CIBA Core 1.0 §7.1.1; FAPI-CIBA §5.2.2 (lifetime at most 60 minutes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aims.kit.forms import Form, single
from aims.kit.jose import ALGORITHMS, JoseRefused, KeyLookup, decode

LIFETIME_MAX_S = 3600
SKEW_S = 30
JTI_MAX = 255
_TYPES = (None, "jwt", "oauth-authz-req+jwt")
_OUTSIDE = frozenset({"request", "client_id", "client_assertion", "client_assertion_type"})
_CLAIMS = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti"})


class SignedRequestRefused(Exception):
    """The signed request breaks a rule: all of them answer ``invalid_request``. args: the rule, in words."""


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """The parameters, and what must be remembered so that the request counts once. expires_at_s: NumericDate."""

    parameters: Mapping[str, Any]
    jti: str
    expires_at_s: int
    raw: bytes


def unpack(
    form: Form, token: str, *, client_id: str, algorithm: str, issuer: str, keys: KeyLookup, now_s: int
) -> Unpacked:
    """Return the parameters of a signed request. algorithm: the one the client registered; empty: it may not sign.

    Raises SignedRequestRefused.
    """
    if algorithm not in ALGORITHMS:
        raise SignedRequestRefused("this client has not registered to sign requests")
    if extra := sorted(form.keys() - _OUTSIDE):
        # A parameter outside would be unsigned, and which of two counts would be a guess.
        raise SignedRequestRefused(f"the parameter {extra[0]} stands outside the signed request")
    claims = _verified(token, algorithm=algorithm, keys=keys)
    _check_parties(claims, client_id=client_id, issuer=issuer)
    _check_times(claims, now_s=now_s)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_MAX:
        raise SignedRequestRefused("jti is missing or too long")
    parameters = {name: value for name, value in claims.items() if name not in _CLAIMS}
    return Unpacked(parameters=parameters, jti=jti, expires_at_s=int(claims["exp"]) + SKEW_S, raw=token.encode())


def token_of(form: Form) -> str | None:
    """Return the signed request in a form, None where there is none. ``request_uri`` is not a thing here."""
    return single(form, "request")


def _verified(token: str, *, algorithm: str, keys: KeyLookup) -> Mapping[str, Any]:
    try:
        return decode(token, keys=keys, algorithms=frozenset({algorithm}), typ=_TYPES).claims
    except JoseRefused as error:
        raise SignedRequestRefused(error.detail) from error


def _check_parties(claims: Mapping[str, Any], *, client_id: str, issuer: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if issuer not in audiences:
        raise SignedRequestRefused("aud must contain the issuer")
    if claims.get("iss") != client_id:
        raise SignedRequestRefused("iss must be the client_id")


def _check_times(claims: Mapping[str, Any], *, now_s: int) -> None:
    exp, iat, nbf = (_date(claims, name) for name in ("exp", "iat", "nbf"))
    if exp <= now_s - SKEW_S:
        raise SignedRequestRefused("exp has passed")
    if nbf > now_s + SKEW_S:
        raise SignedRequestRefused("nbf is in the future")
    if iat > now_s + SKEW_S:
        raise SignedRequestRefused("iat is in the future")
    if not 0 < exp - nbf <= LIFETIME_MAX_S or exp > now_s + LIFETIME_MAX_S + SKEW_S:
        raise SignedRequestRefused("exp must be at most 60 minutes after nbf")


def _date(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise SignedRequestRefused(f"{name} is missing or no NumericDate")
    return int(value)
