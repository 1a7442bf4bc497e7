"""The receipt: what stands in the signed evidence of the decisions on one request. Pure; signing is the caller's.

Spec: docs/formats.md, "The receipt". Times are NumericDates; byte strings are unpadded base64url.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aims.kit.ids import b64url, tagged_hash
from approvals.context import challenge_of
from audit.canonical import decode

TYP = "approval-receipt+jwt"
MEDIA_TYPE = "application/jwt"
SYNCED_ACR, DEVICE_ACR = "phr", "phrh"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """How the key came to its person: hashes of the registration, when, who vouched, and where the log has it."""

    attestation_hash: str
    client_data_hash: str
    enrolled_at: int
    vouched_by: str
    log_index: int


@dataclass(frozen=True, kw_only=True)
class SignedYes:
    """One person's approval with every byte a stranger needs to check it. ``auth_time``: when we received it."""

    approver: str
    is_synced: bool
    auth_time: int
    credential_id: bytes
    cose_key: bytes
    rp_id: str
    origin: str
    context: bytes
    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes
    enrolment: Enrolment


def acr_of(is_synced: bool) -> str:
    """Return ``phrh`` where the key never leaves its device, else ``phr``. Spec: OpenID EAP ACR values 1.0."""
    return SYNCED_ACR if is_synced else DEVICE_ACR


def amr_of(is_synced: bool) -> list[str]:
    """Return how the person was authenticated: proof of possession, of a key in hardware or not. Spec: RFC 8176 §2."""
    return ["swk" if is_synced else "hwk", "user", "pop"]


def approved_until(statement: bytes, auth_times: Sequence[int]) -> int:
    """Return the last moment the approval may be used: last signature plus ``use_within_s`` of the signed R."""
    use_within_s: int = decode(statement)["use_within_s"]
    return max(auth_times) + use_within_s


def claims(*, ref: str, statement: bytes, approvals: Sequence[SignedYes], issued_at: int) -> dict[str, Any]:
    """Return the receipt's claims. What is said about the request is read from the signed R, never from elsewhere."""
    asked = decode(statement)
    quorum = {name: asked["quorum"][name] for name in ("required", "groups", "distinct_humans", "exclude")}
    return {
        "iss": asked["iss"],
        "aud": asked["resource"],
        "iat": issued_at,
        "jti": ref,
        "sub": asked["sub"],
        "client_id": asked["client_id"],
        "act": {"sub": asked["client_id"]},
        "request_hash": tagged_hash(statement),
        "request_jcs": b64url(statement),
        "decision": "approve",
        "approved_until": approved_until(statement, [approval.auth_time for approval in approvals]),
        "quorum": quorum | {"satisfied": len(approvals)},
        "approvals": [_approval(approval) for approval in approvals],
        "policy": {name: asked["policy"][name] for name in ("id", "version", "hash")},
    }


def hash_of(jws: str) -> str:
    """Return ``receipt_hash``: SHA-256 over the ASCII of the compact JWS, as the token and the log entry carry it."""
    return tagged_hash(jws.encode("ascii"))


def _approval(approval: SignedYes) -> dict[str, Any]:
    return {
        "approver": approval.approver,
        "amr": amr_of(approval.is_synced),
        "acr": acr_of(approval.is_synced),
        "auth_time": approval.auth_time,
        "credential_id": b64url(approval.credential_id),
        "cose_key": b64url(approval.cose_key),
        "rp_id": approval.rp_id,
        "origin": approval.origin,
        "context_jcs": b64url(approval.context),
        "challenge": b64url(challenge_of(approval.context)),
        "authenticatorData": b64url(approval.authenticator_data),
        "clientDataJSON": b64url(approval.client_data_json),
        "signature": b64url(approval.signature),
        "enrolment": vars(approval.enrolment),
    }
