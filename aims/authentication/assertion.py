"""Assertions that are not client authentication: what somebody signed about a subject. Spec: RFC 7523 §3, RFC 7521 §5.2.

Read first, without trusting anything; then the caller says whose key it must be, and asks for the signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aims.authentication.claims import check_jti, is_for_us, life_of
from aims.authentication.errors import InvalidClient
from aims.authentication.replay import Proof
from aims.credentials import queries as credentials
from aims.credentials.services.registered import refresh_source
from aims.kit.errors import AimsError
from aims.kit.jose import ALGORITHMS, JoseRefused, Unverified, parse, verify

NAME_MAX = 2048


class AssertionRefused(AimsError):
    """An assertion that proves nothing here. ``code`` names the rule; nothing of the assertion is in it."""

    code = "assertion"
    public = "The assertion is not acceptable."

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"The assertion is not acceptable: {detail}.", detail=code)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """An assertion whose claims are right in themselves. typ, jti: None where absent. expires_at: until when it is remembered."""

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
            expires_at=self.expires_at,
            agent=agent,
        )


def read(text: str, *, typ: Collection[str | None], now: datetime) -> Assertion:
    """Return an assertion whose form and claims are right; nobody has checked its signature. Raises AssertionRefused.

    Its ``aud`` is our issuer and nothing besides, a string or a list of one (draft-ietf-oauth-rfc7523bis §4).
    """
    try:
        token = parse(text, algorithms=ALGORITHMS, typ=typ)
    except JoseRefused as error:
        raise AssertionRefused(error.code, error.detail) from error
    claims = token.claims
    issuer, subject = _name(claims, "iss"), _name(claims, "sub")
    if issuer is None or subject is None:
        raise AssertionRefused("claims", "iss and sub are texts of up to 2,048 printable characters")
    if not is_for_us(claims.get("aud")):
        raise AssertionRefused("audience", "aud must be the issuer identifier, and only it")
    try:
        life = life_of(claims, needs_iat=True, now=now)
        made_jti = check_jti(claims["jti"]) if "jti" in claims else None
    except InvalidClient as error:
        raise AssertionRefused(error.reason, error.public.rstrip(".")) from error
    typ_said = token.header.get("typ")
    return Assertion(
        typ=None if typ_said is None else str(typ_said).lower().removeprefix("application/"),
        issuer=issuer,
        subject=subject,
        jti=made_jti,
        issued_at=life.issued_at,
        expires_at=life.expires_at,
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
        verify(assertion.token, key=key.key())
    except JoseRefused as error:
        raise AssertionRefused(error.code, error.detail) from error


def _name(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    # Printable: PostgreSQL takes no NUL, and a name that it can't hold is nobody's.
    is_name = isinstance(value, str) and 1 <= len(value) <= NAME_MAX and value.isprintable()
    return value if is_name else None
