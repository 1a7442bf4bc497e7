"""What a client learns of a person: ID token and userinfo. Pure. Spec: OpenID Connect Core 1.0 §2, §5."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aims.kit.ids import b64url

OPENID, PROFILE, EMAIL, OFFLINE = "openid", "profile", "email", "offline_access"
IDENTITY = frozenset({OPENID, PROFILE, EMAIL})  # scopes that open userinfo and nothing else
OF_OPENID = frozenset({PROFILE, EMAIL})  # which claims openid tells: nothing without it (§5.4)
CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "at_hash", "name", "email")
ID_TOKEN_LIFE_S = 300


def resource_scope(scope: str) -> tuple[str, ...]:
    """Return the words of a scope that mean something at a resource."""
    return tuple(word for word in scope.split() if word not in IDENTITY and word != OFFLINE)


def identity_scope(scope: str) -> tuple[str, ...]:
    """Return the words of a scope that mean something at userinfo."""
    return tuple(word for word in scope.split() if word in IDENTITY)


def grounded(scope: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a scope without those that need openid beside them and do not have it. Spec: §3.1.2.1, §5.4."""
    return tuple(word for word in scope if word not in OF_OPENID or OPENID in scope)


def id_token(
    *, issuer: str, sub: str, client_id: str, signed_in: Mapping[str, Any], more: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the claims of an ID token. signed_in: acr, amr, auth_time. more: nonce, at_hash, txn; empty ones are left out."""
    now_s = int(now.timestamp())
    claims = {"iss": issuer, "sub": sub, "aud": client_id, "iat": now_s, "exp": now_s + ID_TOKEN_LIFE_S}
    return claims | dict(signed_in) | {name: value for name, value in more.items() if value}


def at_hash(access_token: str) -> str:
    """Return the left half of SHA-256, for an ID token signed by ES256. Spec: OpenID Connect Core 1.0 §3.1.3.6."""
    return b64url(hashlib.sha256(access_token.encode("ascii")).digest()[:16])


def userinfo(*, sub: str, name: str, email: str, scope: Sequence[str]) -> dict[str, Any]:
    """Return what the scope opens; an address is not verified by us. Spec: OpenID Connect Core 1.0 §5.3.2, §5.4."""
    claims = {"sub": sub}
    if PROFILE in scope:
        claims["name"] = name
    if EMAIL in scope:
        claims["email"] = email
    return claims
