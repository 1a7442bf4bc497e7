"""What a second person signs: the statement S of what will happen, and the context C of one signature. Pure.

Spec: docs/formats.md, "The consent of a second person". The same shape as an approval's R and C, with tags of its own,
so that no flow accepts another's challenge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from aims.kit.ids import b64url, tagged_hash, unb64url
from audit.canonical import CanonicalError, decode, encode

STATEMENT_TYP = "aims-consent-statement"
CONTEXT_TYP = "aims-consent-context"
VERSION = 1
NONCE_BYTES = 32
SALT_BYTES = 16
CHALLENGE_TAG = b"aims-consent/v1\x00"
PARAMS_TAG = b"aims-consent-params/v1\x00"
LIFETIME_MAX_S = 600
_STATEMENT: dict[str, type] = {
    "typ": str,
    "v": int,
    "iss": str,
    "consent": str,
    "kind": str,
    "params": dict,
    "reason": str,
    "note": str,
    "salt": str,
    "asked_by": str,
    "iat": int,
    "exp": int,
}
_CONTEXT: dict[str, type] = {
    "typ": str,
    "v": int,
    "statement_hash": str,
    "decision": str,
    "person": str,
    "nonce": str,
    "rp_id": str,
    "locale": str,
    "iat": int,
    "exp": int,
}


class ConsentBytesRefused(ValueError):
    """These bytes are none of ours; the message says which rule they break."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What will happen. note: the asker's own words. salt: 16 random bytes, so that the hash tells nothing of them."""

    iss: str
    consent: str
    kind: str
    params: dict[str, Any]
    reason: str
    note: str
    salt: bytes
    asked_by: str
    iat: int
    exp: int


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one signature says. decision: always ``confirm``, since a no needs none. nonce: 32 random bytes."""

    statement_hash: str
    decision: str
    person: str
    nonce: bytes
    rp_id: str
    locale: str
    iat: int
    exp: int


def build_statement(statement: Statement) -> bytes:
    """Return the canonical bytes S. Raises ConsentBytesRefused."""
    _check_salt(statement)
    members = {"typ": STATEMENT_TYP, "v": VERSION} | vars(statement) | {"salt": b64url(statement.salt)}
    try:
        return encode(members)
    except CanonicalError as error:
        raise ConsentBytesRefused(str(error)) from error


def parse_statement(raw: bytes) -> Statement:
    """Return what S says. Raises ConsentBytesRefused unless the bytes are exactly what ``build_statement`` makes."""
    members = _members(raw, _STATEMENT, STATEMENT_TYP)
    statement = Statement(**members | {"salt": _unspelt(members["salt"])})
    _check_salt(statement)
    return statement


def build_context(context: Context) -> bytes:
    """Return the canonical bytes C. Raises ConsentBytesRefused where a rule of the format is broken."""
    _check_context(context)
    return encode({"typ": CONTEXT_TYP, "v": VERSION} | vars(context) | {"nonce": b64url(context.nonce)})


def parse_context(raw: bytes) -> Context:
    """Return what C says. Raises ConsentBytesRefused unless the bytes are exactly what ``build_context`` makes."""
    members = _members(raw, _CONTEXT, CONTEXT_TYP)
    context = Context(**members | {"nonce": _unspelt(members["nonce"])})
    _check_context(context)
    return context


def challenge_of(context: bytes) -> bytes:
    """Return the WebAuthn challenge of C: SHA-256("aims-consent/v1" ‖ 0x00 ‖ C). 32 bytes."""
    return hashlib.sha256(CHALLENGE_TAG + context).digest()


def params_hash(kind: str, params: dict[str, Any]) -> str:
    """Return what an action is known by in the log: SHA-256("aims-consent-params/v1" ‖ 0x00 ‖ JCS of both).

    Raises ConsentBytesRefused for values that have no canonical spelling.
    """
    try:
        return tagged_hash(PARAMS_TAG + encode({"kind": str(kind), "params": params}))
    except CanonicalError as error:
        raise ConsentBytesRefused(str(error)) from error


def _members(raw: bytes, known: dict[str, type], typ: str) -> dict[str, Any]:
    try:
        members = decode(raw)
        if not isinstance(members, dict) or encode(members) != raw:
            raise ConsentBytesRefused("not canonical")
    except CanonicalError as error:
        raise ConsentBytesRefused(str(error)) from error
    if members.keys() != known.keys():
        raise ConsentBytesRefused("members missing or unknown")
    if any(type(members[name]) is not kind for name, kind in known.items()):
        raise ConsentBytesRefused("a member has the wrong type")
    if (members.pop("typ"), members.pop("v")) != (typ, VERSION):
        raise ConsentBytesRefused("of another type or version")
    return members


def _unspelt(text: str) -> bytes:
    try:
        return unb64url(text)
    except ValueError as error:
        raise ConsentBytesRefused("not base64url") from error


def _check_salt(statement: Statement) -> None:
    if len(statement.salt) != SALT_BYTES:
        raise ConsentBytesRefused("salt is not 16 bytes")


def _check_context(context: Context) -> None:
    if context.decision != "confirm":
        raise ConsentBytesRefused("decision unknown")
    if len(context.nonce) != NONCE_BYTES:
        raise ConsentBytesRefused("nonce is not 32 bytes")
    if not context.iat < context.exp <= context.iat + LIFETIME_MAX_S:
        raise ConsentBytesRefused("exp is not within 10 minutes after iat")
