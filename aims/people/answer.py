"""How the bytes of a passkey's answer are read: one meaning only, or refused. Pure.

JSON without duplicate members, canonical base64url, CBOR in its canonical spelling with nothing behind it, and a size
limit on every part. Spec: WebAuthn L3 §5.1.8, §5.8.1, §6.1.
"""

from __future__ import annotations

import binascii
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, NoReturn

import cbor2
from cryptography.exceptions import UnsupportedAlgorithm
from webauthn.helpers.exceptions import WebAuthnException

from aims.kit.errors import AimsError
from aims.kit.ids import unb64url

RESPONSE_MAX_BYTES = 64 * 1024
CLIENT_DATA_MAX_BYTES = 4 * 1024
AUTHENTICATOR_DATA_MAX_BYTES = 4 * 1024
ATTESTATION_MAX_BYTES = 32 * 1024
SIGNATURE_MAX_BYTES = 1024
CREDENTIAL_ID_MAX_BYTES = 1023  # WebAuthn L3 §7.1 step 25
USER_HANDLE_MAX_BYTES = 64  # WebAuthn L3 §4

# What the parsers raise on hostile bytes; each of them means that there is nothing here to believe.
UNREADABLE = (
    WebAuthnException, UnsupportedAlgorithm, cbor2.CBORError, ValueError, TypeError, LookupError, AttributeError,
    ArithmeticError, RecursionError, EOFError,
)  # fmt: skip


class Flags(IntFlag):
    """The flags of authenticator data. Spec: WebAuthn L3 §6.1."""

    USER_PRESENT = 0x01
    RESERVED_1 = 0x02
    USER_VERIFIED = 0x04
    BACKUP_ELIGIBLE = 0x08
    BACKED_UP = 0x10
    RESERVED_5 = 0x20
    ATTESTED_DATA = 0x40
    EXTENSION_DATA = 0x80


class WebAuthnRefused(AimsError):
    """A registration or an assertion broke a rule; ``code`` names which one."""

    code = "webauthn_refused"
    public = "The answer of this passkey was refused."

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        super().__init__(detail=detail)


# -- the response as JSON (WebAuthn L3 §5.1.8) ---------------------------------------------------


@dataclass(frozen=True)
class Parsed:
    outer: dict[str, Any]
    inner: dict[str, Any]
    credential_id: bytes


def refuse(code: str, detail: str = "") -> NoReturn:
    raise WebAuthnRefused(code, detail)


def parsed_response(response: bytes | str) -> Parsed:
    raw = response.encode("utf-8", "surrogatepass") if isinstance(response, str) else response
    if len(raw) > RESPONSE_MAX_BYTES:
        refuse("response_too_large")
    outer = _json_object(raw, code="response_malformed")
    inner = outer.get("response")
    if not isinstance(inner, dict) or outer.get("type") != "public-key":
        refuse("response_malformed")
    credential_id = part(outer, "rawId", CREDENTIAL_ID_MAX_BYTES)
    if outer.get("id") != outer["rawId"] or not credential_id:
        refuse("response_malformed", "id and rawId differ")
    return Parsed(outer, inner, credential_id)


def _json_object(raw: bytes, *, code: str) -> dict[str, Any]:
    """Parse a JSON object that means one thing only: valid UTF-8, no BOM, no duplicate members, no NaN."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WebAuthnRefused(code, type(error).__name__) from None
    if not isinstance(value, dict):
        refuse(code, "not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def part(members: Mapping[str, Any], name: str, max_bytes: int) -> bytes:
    raw = _bytes_of(members.get(name), code="response_malformed")
    if len(raw) > max_bytes:
        refuse("response_too_large", name)
    return raw


def _bytes_of(value: object, *, code: str) -> bytes:
    if not isinstance(value, str):
        refuse(code, "not a string")
    try:
        return unb64url(value)
    except (ValueError, binascii.Error):
        raise WebAuthnRefused(code, "not canonical base64url") from None


def user_handle_of(inner: Mapping[str, Any]) -> bytes | None:
    # Browsers write null, or leave the member out, where the authenticator returned no handle.
    if inner.get("userHandle") is None:
        return None
    return part(inner, "userHandle", USER_HANDLE_MAX_BYTES)


def transports(inner: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the transports as hints; unknown words are kept (L3 §5.8.4), anything odd is dropped."""
    given = inner.get("transports")
    words = given if isinstance(given, list) else []
    return tuple(sorted({word for word in words if isinstance(word, str) and 0 < len(word) <= 32}))[:8]


# -- clientDataJSON (WebAuthn L3 §5.8.1) ---------------------------------------------------------


def client_data(raw: bytes) -> dict[str, Any]:
    return _json_object(raw, code="client_data_malformed")


def challenge_of(client_data: Mapping[str, Any]) -> bytes:
    return _bytes_of(client_data.get("challenge"), code="client_data_malformed")


def check_client_data(raw: bytes, *, kind: str, challenge: bytes, origins: Collection[str]) -> str:
    said = client_data(raw)
    if said.get("type") != kind:
        refuse("wrong_ceremony")
    if not hmac.compare_digest(challenge_of(said), challenge):
        refuse("challenge_differs")
    origin = said.get("origin")
    if not isinstance(origin, str) or origin not in origins:
        refuse("origin_not_allowed")
    if said.get("crossOrigin", False) is not False:
        refuse("cross_origin")
    if "topOrigin" in said:
        refuse("cross_origin", "topOrigin")
    return origin


def cbor_map(raw: bytes) -> dict[object, object]:
    """Parse one CBOR map that fills its bytes in the one canonical spelling (CTAP 2.1 §8): nothing may trail it."""
    try:
        value = cbor2.loads(raw, allow_duplicate_keys=False)
        is_exact = cbor2.dumps(value) == raw
    except UNREADABLE as error:
        raise WebAuthnRefused("cbor_malformed", type(error).__name__) from None
    if not isinstance(value, dict) or not is_exact:
        refuse("cbor_malformed")
    return value
