"""The claims of a token that a person approved. Pure. Spec: RFC 9068 §2.2; RFC 9396 §9.1; docs/formats.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aims.authorization.statement import Statement

ACCESS_TOKEN_MAX_S = 300  # an approved bearer token lives no longer, and counts once
METHOD = "webauthn-uv"


@dataclass(frozen=True, kw_only=True)
class Approved:
    """What was decided. Moments are NumericDate. subject_signed: acr, amr, auth_time, None if somebody else signed."""

    request_id: str
    approved_at: int
    approved_until: int
    receipt_hash: str
    receipt_uri: str
    required: int
    count: int
    subject_signed: Mapping[str, Any] | None


def access_token(
    statement: Statement, approved: Approved, *, sub: str, jti: str, txn: str, now_s: int
) -> dict[str, Any]:
    """Return the claims of the access token; ``authorization_details`` are exactly those of the statement."""
    claims: dict[str, Any] = {
        "iss": statement.iss,
        "sub": sub,
        "aud": statement.resource,
        "client_id": statement.client_id,
        "iat": now_s,
        "exp": min(now_s + ACCESS_TOKEN_MAX_S, approved.approved_until),
        "jti": jti,
        "scope": statement.scope,
        "txn": txn,
        "approval": {
            "id": approved.request_id,
            "approved_at": approved.approved_at,
            "approved_until": approved.approved_until,
            "receipt_hash": approved.receipt_hash,
            "receipt_uri": approved.receipt_uri,
            "required": approved.required,
            "count": approved.count,
            "method": METHOD,
        },
    }
    if statement.authorization_details:
        claims["authorization_details"] = [dict(detail) for detail in statement.authorization_details]
    return claims | dict(approved.subject_signed or {})


def id_token(statement: Statement, approved: Approved, *, txn: str, now_s: int) -> dict[str, Any] | None:
    """Return the claims of the ID token; None unless the subject signed: nobody else's sign-in may be asserted."""
    if approved.subject_signed is None:
        return None
    return {
        "iss": statement.iss,
        "sub": statement.sub,
        "aud": statement.client_id,
        "iat": now_s,
        "exp": now_s + ACCESS_TOKEN_MAX_S,
        "txn": txn,
    } | dict(approved.subject_signed)
