"""Assertions that are not client authentication: what somebody signed about a subject. Spec: RFC 7523 §3, RFC 7521 §5.2.

Read first, without trusting anything; then the caller says whose key it must be, and asks for the signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aims.authentication.client import import_key
from aims.authentication.replay import Proof
from aims.credentials import queries as credentials
from aims.credentials.services.registered import refresh_source
from aims.kit.errors import AimsError
from aims.kit.jose import ALGORITHMS, JoseRefused, Unverified, parse, verify

AHEAD_MAX_S = 300
SKEW_S = 30
NAME_MAX = 2048
JTI_MAX = 255


class AssertionRefused(AimsError):
    """An assertion that proves nothing here. ``code`` names the rule; nothing of the assertion is in it."""

    code = "assertion"
    public = "The assertion is not acceptable."

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"The assertion is not acceptable: {detail}.", detail=code)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """An assertion whose claims are right in themselves. typ: None where absent. jti: None where absent."""

    typ: str | None
    issuer: str
    subject: str
    jti: str | None
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Any]
    token: Unverified

    def proof(self, holder_ref: str, *, agent: str | None) -> Proof:
        """Return what must be remembered so that it counts once. It has a ``jti``."""
        assert self.jti is not None
        return Proof(
            client_ref=holder_ref,
            jti_hash=hashlib.sha256(self.jti.encode()).hexdigest(),
            issued_at=self.issued_at,
            expires_at=self.expires_at + timedelta(seconds=SKEW_S),
            agent=agent,
        )


def read(text: str, *, typ: Collection[str | None], audience: str, now: datetime) -> Assertion:
    """Return an assertion whose form and claims are right; nobody has checked its signature. Raises AssertionRefused.

    audience: the only value of ``aud``, a string or a list of one (draft-ietf-oauth-rfc7523bis §4).
    """
    try:
        token = parse(text, algorithms=ALGORITHMS, typ=typ)
    except JoseRefused as error:
        raise AssertionRefused(error.code, error.detail) from error
    claims = token.claims
    issuer, subject, jti = (_name(claims, name) for name in ("iss", "sub", "jti"))
    if issuer is None or subject is None:
        raise AssertionRefused("claims", "iss and sub are texts of up to 2,048 printable characters")
    if claims.get("aud") != audience and claims.get("aud") != [audience]:
        raise AssertionRefused("audience", "aud must be the issuer identifier, and only it")
    if "jti" in claims and (jti is None or len(jti) > JTI_MAX):
        raise AssertionRefused("jti", "jti is a text of up to 255 printable characters")
    issued_at, expires_at = _times(claims, now.timestamp())
    typ_said = token.header.get("typ")
    return Assertion(
        typ=None if typ_said is None else str(typ_said).lower().removeprefix("application/"),
        issuer=issuer,
        subject=subject,
        jti=jti,
        issued_at=issued_at,
        expires_at=expires_at,
        claims=claims,
        token=token,
    )


def check_signed(assertion: Assertion, holder_ref: str, *, now: datetime) -> None:
    """Raise AssertionRefused unless a key of this holder signed it. May fetch, so no transaction is open."""
    kid, algorithm = assertion.token.header.get("kid"), str(assertion.token.header["alg"])
    key = credentials.key_for(holder_ref, kid, algorithm)
    if key is None and refresh_source(holder_ref, now=now):  # an unknown kid may be a rotated one
        key = credentials.key_for(holder_ref, kid, algorithm)
    try:
        if key is None:
            raise AssertionRefused("unknown_key", "no such key is known")
        verify(assertion.token, key=import_key(key.jwk))
    except JoseRefused as error:
        raise AssertionRefused(error.code, error.detail) from error


def _name(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    # Printable: PostgreSQL takes no NUL, and a name that it can't hold is nobody's.
    is_name = isinstance(value, str) and 1 <= len(value) <= NAME_MAX and value.isprintable()
    return value if is_name else None


def _times(claims: Mapping[str, Any], at: float) -> tuple[datetime, datetime]:
    issued, expires, not_before = (_date(claims, name) for name in ("iat", "exp", "nbf"))
    if issued is None or issued > at + SKEW_S:
        raise AssertionRefused("issued_at", "iat is missing or in the future")
    if expires is None or expires <= at - SKEW_S:
        raise AssertionRefused("expired", "exp is missing or has passed")
    if expires > at + AHEAD_MAX_S + SKEW_S or expires <= issued:
        raise AssertionRefused("expires_late", f"exp must be at most {AHEAD_MAX_S} seconds ahead")
    if not_before is not None and not_before > at + SKEW_S:
        raise AssertionRefused("not_before", "nbf is in the future")
    return datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC)


def _date(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate, None where absent. Spec: RFC 7519 §2."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise AssertionRefused("numeric_date", "iat, exp and nbf are NumericDates")
    return float(value)
