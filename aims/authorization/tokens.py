"""What stands in an access token. Pure. Spec: RFC 9068 §2.2, RFC 9396 §9.1, docs/formats.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

TYP = "at+jwt"
LIFETIME_S = 300
LIFETIME_MAX_S = 3600
# What a token rests on must last so long still: ``exp`` has whole seconds, and less could be over on arrival.
LEAST = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class TokenFacts:
    """What a token will say. expires_at: of ``expiry``.

    approval: the claim of that name. subject_signed: acr, amr, auth_time, only if the subject signed. cnf: of
    ``confirmation``.
    """

    client_id: str
    subject: str
    audience: str
    scope: str
    authorization_details: Sequence[Mapping[str, Any]]
    txn: str
    expires_at: datetime
    approval: Mapping[str, Any] | None
    subject_signed: Mapping[str, Any] | None
    cnf: Mapping[str, str] | None = None
    act: Mapping[str, Any] | None = None
    may_act: Mapping[str, Any] | None = None


def expiry(*, now: datetime, ends: Iterable[datetime]) -> datetime:
    """Return when a token ends, on a whole second. ends: of all that it rests on, a person's yes or a grant."""
    return min([now + timedelta(seconds=LIFETIME_S), *ends]).replace(microsecond=0)


def claims_of(facts: TokenFacts, *, issuer: str, jti: str, now: datetime) -> dict[str, Any]:
    """Return the claims. Spec: RFC 9068 §2.2: iss, exp, aud, sub, client_id, iat and jti are always there."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": facts.subject,
        "client_id": facts.client_id,
        "aud": facts.audience,
        "iat": int(now.timestamp()),
        "exp": int(facts.expires_at.timestamp()),
        "jti": jti,
        "txn": facts.txn,
    }
    if facts.scope:
        claims["scope"] = facts.scope
    if facts.authorization_details:
        claims["authorization_details"] = list(facts.authorization_details)
    if facts.approval:
        claims["approval"] = dict(facts.approval)
    if facts.cnf:
        claims["cnf"] = dict(facts.cnf)
    if facts.act:  # RFC 8693 §4.1
        claims["act"] = dict(facts.act)
    if facts.may_act:  # RFC 8693 §4.4
        claims["may_act"] = dict(facts.may_act)
    return claims | dict(facts.subject_signed or {})


def confirmation(jkt: str, x5t_s256: str) -> dict[str, str] | None:
    """Return the claim ``cnf`` of a token that only the holder of these keys may use; None for a bearer token.

    jkt: RFC 7638 thumbprint of a DPoP key. x5t_s256: SHA-256 of a client certificate. Each is empty where there is none.
    Spec: RFC 9449 §6.1, RFC 8705 §3.1, RFC 7800 §3.1.
    """
    both = {"jkt": jkt, "x5t#S256": x5t_s256}
    return {name: value for name, value in both.items() if value} or None


def token_type(cnf: Mapping[str, str] | None) -> str:
    """Return how a token must be presented. Spec: RFC 9449 §5; RFC 6750 §4."""
    return "DPoP" if cnf and "jkt" in cnf else "Bearer"


def approval_claim(
    *,
    ref: str,
    approved_at: datetime,
    approved_until: datetime,
    receipt_ref: str,
    receipt_hash: str,
    required: int,
    count: int,
    issuer: str,
) -> dict[str, Any]:
    """Return the ``approval`` claim: what the resource server needs to honour one yes once."""
    return {
        "id": ref,
        "approved_at": int(approved_at.timestamp()),
        "approved_until": int(approved_until.timestamp()),
        "receipt_hash": receipt_hash,
        "receipt_uri": f"{issuer}/receipts/{receipt_ref}",
        "required": required,
        "count": count,
        "method": "webauthn-uv",
    }
