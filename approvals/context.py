"""The context C: the canonical bytes that one person signs for one decision. Pure.

Spec: docs/formats.md, "The context". WebAuthn L3 §13.4.3 asks for a challenge that cannot be guessed: the nonce.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from aims.kit.ids import b64url, unb64url
from audit.canonical import CanonicalError, decode, encode

TYP = "agent-approval-context"
VERSION = 1
NONCE_BYTES = 32
CHALLENGE_TAG = b"agent-approval/v1\x00"
LIFETIME_MAX_S = 600
DECISIONS = frozenset({"approve", "deny"})
_MEMBERS: dict[str, type] = {
    "typ": str,
    "v": int,
    "request_hash": str,
    "decision": str,
    "approver": str,
    "nonce": str,
    "rp_id": str,
    "locale": str,
    "rendering_hash": str,
    "iat": int,
    "exp": int,
}


class ContextRefused(ValueError):
    """These bytes are no context of ours; the message says which rule they break."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one signature says. ``iat`` and ``exp`` are NumericDates; ``nonce`` is 32 random bytes."""

    request_hash: str
    decision: str
    approver: str
    nonce: bytes
    rp_id: str
    locale: str
    rendering_hash: str
    iat: int
    exp: int


def build(context: Context) -> bytes:
    """Return the canonical bytes C. Raises ContextRefused where a rule of the format is broken."""
    _check(context)
    members: dict[str, Any] = {"typ": TYP, "v": VERSION} | vars(context) | {"nonce": b64url(context.nonce)}
    return encode(members)


def parse(raw: bytes) -> Context:
    """Return what C says. Raises ContextRefused unless the bytes are exactly what ``build`` would have made."""
    try:
        members = decode(raw)
        if not isinstance(members, dict) or encode(members) != raw:
            raise ContextRefused("not canonical")
    except CanonicalError as error:
        raise ContextRefused(str(error)) from error
    context = _from(members)
    _check(context)
    return context


def challenge_of(raw: bytes) -> bytes:
    """Return the WebAuthn challenge of C: SHA-256("agent-approval/v1" ‖ 0x00 ‖ C). 32 bytes."""
    return hashlib.sha256(CHALLENGE_TAG + raw).digest()


def _from(members: dict[str, Any]) -> Context:
    if members.keys() != _MEMBERS.keys():
        raise ContextRefused("members missing or unknown")
    if any(type(members[name]) is not kind for name, kind in _MEMBERS.items()):
        raise ContextRefused("a member has the wrong type")
    if (members.pop("typ"), members.pop("v")) != (TYP, VERSION):
        raise ContextRefused("not a context, or of another version")
    try:
        return Context(**members | {"nonce": unb64url(members["nonce"])})
    except ValueError as error:
        raise ContextRefused("nonce is not base64url") from error


def _check(context: Context) -> None:
    if context.decision not in DECISIONS:
        raise ContextRefused("decision unknown")
    if len(context.nonce) != NONCE_BYTES:
        raise ContextRefused("nonce is not 32 bytes")
    if not context.iat < context.exp <= context.iat + LIFETIME_MAX_S:
        raise ContextRefused("exp is not within 10 minutes after iat")
