"""The strict WebAuthn layer: py_webauthn verifies, this module refuses what it lets through. Pure.

Spec: W3C Web Authentication Level 3 §5.8.1, §6.1, §7.1, §7.2. What is stricter here than there: user verification
always, no cross-origin use, canonical base64url, no duplicate members, no extension that nobody asked for, and
only the three algorithms that we offer. A refusal names its rule in ``code``; it never carries the response.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, NoReturn

import cbor2
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_attestation_object,
    parse_authenticator_data,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AttestationObject

from aims.kit.errors import AimsError
from aims.kit.ids import unb64url

SIGN_IN = b"aims-sign-in/v1"
ENROL = b"aims-enrol/v1"
ADD_KEY = b"aims-add-key/v1"

ES256, EDDSA, RS256 = -7, -8, -257
ALGORITHMS = (
    ES256,
    EDDSA,
    RS256,
)  # in order of preference: what authenticators have, and py_webauthn verifies
CURVES = {
    ES256: 1,
    EDDSA: 6,
}  # COSE: P-256, Ed25519. The algorithm alone does not fix the curve (RFC 9053 §2.1)
RSA_MIN_BITS = 2048

RESPONSE_MAX_BYTES = 64 * 1024
CLIENT_DATA_MAX_BYTES = 4 * 1024
AUTHENTICATOR_DATA_MAX_BYTES = 4 * 1024
ATTESTATION_MAX_BYTES = 32 * 1024
SIGNATURE_MAX_BYTES = 1024
CREDENTIAL_ID_MAX_BYTES = 1023  # WebAuthn L3 §7.1 step 25
USER_HANDLE_MAX_BYTES = 64  # WebAuthn L3 §4

# Chromium asks security keys for credProtect on its own when a key is discoverable; platforms answer hmac-secret;
# password managers report credProps. None of them changes what a signature means. An assertion has none.
REGISTRATION_EXTENSIONS = frozenset({"credProtect", "hmac-secret", "credProps"})
NO_EXTENSIONS: frozenset[str] = frozenset()


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


@dataclass(frozen=True)
class StoredKey:
    """What we kept of a registered key. public_key: COSE_Key bytes."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    is_backup_eligible: bool


@dataclass(frozen=True)
class Claimed:
    """What a response says of itself, for finding the row to verify it with. It proves nothing yet."""

    credential_id: bytes
    challenge: bytes
    user_handle: bytes | None


@dataclass(frozen=True)
class Assertion:
    """A verified assertion and its evidence. flags: all eight bits as signed, the reserved ones included."""

    credential_id: bytes
    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes
    sign_count: int
    is_backed_up: bool
    origin: str
    user_handle: bytes | None
    flags: int


@dataclass(frozen=True)
class Registration:
    """A verified registration and its evidence. aaguid: unproven, since we ask for no attestation."""

    credential_id: bytes
    public_key: bytes
    algorithm: int
    sign_count: int
    aaguid: str
    transports: tuple[str, ...]
    is_backup_eligible: bool
    is_backed_up: bool
    attestation_object: bytes
    client_data_json: bytes
    origin: str


def tagged_challenge(tag: bytes, content: bytes) -> bytes:
    """Return SHA-256(tag ‖ 0x00 ‖ content): a challenge that only one kind of ceremony can have made."""
    return hashlib.sha256(tag + b"\0" + content).digest()


def claimed(response: bytes | str) -> Claimed:
    """Return what a response claims, for look-up only. Raises WebAuthnRefused where it cannot even be read."""
    parsed = _response(response)
    client_data = _client_data(_part(parsed.inner, "clientDataJSON", CLIENT_DATA_MAX_BYTES))
    return Claimed(parsed.credential_id, _challenge_of(client_data), _user_handle_of(parsed.inner))


def verify_assertion(
    response: bytes | str,
    *,
    challenge: bytes,
    rp_id: str,
    origins: Collection[str],
    keys: Mapping[bytes, StoredKey],
    user_handle: bytes | None,
) -> Assertion:
    """Return the verified assertion. response: the browser's ``toJSON()`` as JSON text.

    keys: the allowed keys by credential id. user_handle: the person's, which an answer with a handle must equal.
    Where the person was not known before, the caller refuses ``Assertion.user_handle`` None (L3 §7.2 step 6).
    Raises WebAuthnRefused; ``clone_suspected`` only after everything else held. Spec: WebAuthn L3 §7.2.
    """
    parsed = _response(response)
    client_data_json = _part(parsed.inner, "clientDataJSON", CLIENT_DATA_MAX_BYTES)
    authenticator_data = _part(parsed.inner, "authenticatorData", AUTHENTICATOR_DATA_MAX_BYTES)
    signature = _part(parsed.inner, "signature", SIGNATURE_MAX_BYTES)
    key = keys.get(parsed.credential_id)
    if key is None:
        _refuse("credential_not_allowed")
    handle = _user_handle_of(parsed.inner)
    if handle is not None and user_handle is not None and not hmac.compare_digest(handle, user_handle):
        _refuse("user_handle_differs")
    origin = _check_client_data(client_data_json, kind="webauthn.get", challenge=challenge, origins=origins)
    flags = _check_flags(authenticator_data, rp_id=rp_id)
    if Flags.ATTESTED_DATA in flags:
        _refuse("attested_data_in_assertion")
    if (Flags.BACKUP_ELIGIBLE in flags) != key.is_backup_eligible:
        _refuse("backup_eligibility_changed")
    _check_extensions(authenticator_data[37:], flags=flags, parsed=parsed, allowed=NO_EXTENSIONS)
    _check_key(key.public_key)
    sign_count = _verified_count(parsed, key=key, challenge=challenge, rp_id=rp_id, origin=origin)
    # L3 §7.2 step 22: a signal, not a proof, of cloning. Ours is to refuse; the person adds a new key.
    if (sign_count or key.sign_count) and sign_count <= key.sign_count:
        _refuse("clone_suspected", f"count {sign_count} after {key.sign_count}")
    return Assertion(
        credential_id=parsed.credential_id,
        authenticator_data=authenticator_data,
        client_data_json=client_data_json,
        signature=signature,
        sign_count=sign_count,
        is_backed_up=Flags.BACKED_UP in flags,
        origin=origin,
        user_handle=handle,
        flags=int(flags),
    )


def verify_registration(
    response: bytes | str, *, challenge: bytes, rp_id: str, origins: Collection[str]
) -> Registration:
    """Return the verified registration; accepts ``none`` and self attestation, since we ask for none.

    Raises WebAuthnRefused. Spec: WebAuthn L3 §7.1.
    """
    parsed = _response(response)
    client_data_json = _part(parsed.inner, "clientDataJSON", CLIENT_DATA_MAX_BYTES)
    attestation_object = _part(parsed.inner, "attestationObject", ATTESTATION_MAX_BYTES)
    origin = _check_client_data(client_data_json, kind="webauthn.create", challenge=challenge, origins=origins)
    attestation = _attestation(attestation_object)
    raw = attestation.raw_auth_data
    flags = _check_flags(raw, rp_id=rp_id)
    public_key, extensions = _attested(raw, credential_id=parsed.credential_id)
    _check_extensions(extensions, flags=flags, parsed=parsed, allowed=REGISTRATION_EXTENSIONS)
    algorithm = _check_key(public_key)
    aaguid = _verified_aaguid(parsed, challenge=challenge, rp_id=rp_id, origin=origin)
    return Registration(
        credential_id=parsed.credential_id,
        public_key=public_key,
        algorithm=algorithm,
        sign_count=int.from_bytes(raw[33:37], "big"),
        aaguid=aaguid,
        transports=_transports(parsed.inner),
        is_backup_eligible=Flags.BACKUP_ELIGIBLE in flags,
        is_backed_up=Flags.BACKED_UP in flags,
        attestation_object=attestation_object,
        client_data_json=client_data_json,
        origin=origin,
    )


# -- the response as JSON (WebAuthn L3 §5.1.8) ---------------------------------------------------


@dataclass(frozen=True)
class _Parsed:
    outer: dict[str, Any]
    inner: dict[str, Any]
    credential_id: bytes


def _refuse(code: str, detail: str = "") -> NoReturn:
    raise WebAuthnRefused(code, detail)


def _response(response: bytes | str) -> _Parsed:
    raw = response.encode("utf-8", "surrogatepass") if isinstance(response, str) else response
    if len(raw) > RESPONSE_MAX_BYTES:
        _refuse("response_too_large")
    outer = _json_object(raw, code="response_malformed")
    inner = outer.get("response")
    if not isinstance(inner, dict) or outer.get("type") != "public-key":
        _refuse("response_malformed")
    credential_id = _part(outer, "rawId", CREDENTIAL_ID_MAX_BYTES)
    if outer.get("id") != outer["rawId"] or not credential_id:
        _refuse("response_malformed", "id and rawId differ")
    return _Parsed(outer, inner, credential_id)


def _json_object(raw: bytes, *, code: str) -> dict[str, Any]:
    """Parse a JSON object that means one thing only: valid UTF-8, no BOM, no duplicate members, no NaN."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WebAuthnRefused(code, type(error).__name__) from None
    if not isinstance(value, dict):
        _refuse(code, "not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _part(members: Mapping[str, Any], name: str, max_bytes: int) -> bytes:
    raw = _bytes_of(members.get(name), code="response_malformed")
    if len(raw) > max_bytes:
        _refuse("response_too_large", name)
    return raw


def _bytes_of(value: object, *, code: str) -> bytes:
    if not isinstance(value, str):
        _refuse(code, "not a string")
    try:
        return unb64url(value)
    except (ValueError, binascii.Error):
        raise WebAuthnRefused(code, "not canonical base64url") from None


def _user_handle_of(inner: Mapping[str, Any]) -> bytes | None:
    # Browsers write null, or leave the member out, where the authenticator returned no handle.
    if inner.get("userHandle") is None:
        return None
    return _part(inner, "userHandle", USER_HANDLE_MAX_BYTES)


def _transports(inner: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the transports as hints; unknown words are kept (L3 §5.8.4), anything odd is dropped."""
    given = inner.get("transports")
    words = given if isinstance(given, list) else []
    return tuple(sorted({word for word in words if isinstance(word, str) and 0 < len(word) <= 32}))[:8]


# -- clientDataJSON (WebAuthn L3 §5.8.1) ---------------------------------------------------------


def _client_data(raw: bytes) -> dict[str, Any]:
    return _json_object(raw, code="client_data_malformed")


def _challenge_of(client_data: Mapping[str, Any]) -> bytes:
    return _bytes_of(client_data.get("challenge"), code="client_data_malformed")


def _check_client_data(raw: bytes, *, kind: str, challenge: bytes, origins: Collection[str]) -> str:
    client_data = _client_data(raw)
    if client_data.get("type") != kind:
        _refuse("wrong_ceremony")
    if not hmac.compare_digest(_challenge_of(client_data), challenge):
        _refuse("challenge_differs")
    origin = client_data.get("origin")
    if not isinstance(origin, str) or origin not in origins:
        _refuse("origin_not_allowed")
    if client_data.get("crossOrigin", False) is not False:
        _refuse("cross_origin")
    if "topOrigin" in client_data:
        _refuse("cross_origin", "topOrigin")
    return origin


# -- authenticator data (WebAuthn L3 §6.1) -------------------------------------------------------


def _check_flags(raw: bytes, *, rp_id: str) -> Flags:
    if len(raw) < 37:
        _refuse("authenticator_data_malformed")
    if not hmac.compare_digest(raw[:32], hashlib.sha256(rp_id.encode()).digest()):
        _refuse("wrong_rp_id")
    flags = Flags(raw[32])
    if Flags.USER_PRESENT not in flags:
        _refuse("user_not_present")
    if Flags.USER_VERIFIED not in flags:
        _refuse("user_not_verified")
    if Flags.BACKED_UP in flags and Flags.BACKUP_ELIGIBLE not in flags:
        _refuse("backup_flags_contradict")
    return flags


def _check_extensions(raw: bytes, *, flags: Flags, parsed: _Parsed, allowed: frozenset[str]) -> None:
    """Refuse outputs of extensions that nobody asked for, from the authenticator (signed) or from the client."""
    outputs = _cbor_map(raw) if Flags.EXTENSION_DATA in flags else {}
    if raw and Flags.EXTENSION_DATA not in flags:
        _refuse("authenticator_data_malformed", "bytes left over")
    client_outputs = parsed.outer.get("clientExtensionResults", {})
    if not isinstance(client_outputs, dict):
        _refuse("response_malformed", "clientExtensionResults")
    if not (outputs.keys() | client_outputs.keys()) <= allowed:
        _refuse("extension_not_asked_for")


def _cbor_map(raw: bytes) -> dict[object, object]:
    """Parse one CBOR map that fills its bytes in the one canonical spelling (CTAP 2.1 §8): nothing may trail it."""
    try:
        value = cbor2.loads(raw, allow_duplicate_keys=False)
        is_exact = cbor2.dumps(value) == raw
    except UNREADABLE as error:
        raise WebAuthnRefused("cbor_malformed", type(error).__name__) from None
    if not isinstance(value, dict) or not is_exact:
        _refuse("cbor_malformed")
    return value


def _attestation(raw: bytes) -> _Attestation:
    _cbor_map(raw)
    try:
        parsed = parse_attestation_object(raw)
    except UNREADABLE as error:
        raise WebAuthnRefused("attestation_malformed", type(error).__name__) from None
    is_self = parsed.fmt == "packed" and not parsed.att_stmt.x5c
    if parsed.fmt != "none" and not is_self:
        _refuse("attestation_not_asked_for", str(parsed.fmt))
    return _Attestation(parsed, bytes(cbor2.loads(raw)["authData"]))


@dataclass(frozen=True)
class _Attestation:
    parsed: AttestationObject
    raw_auth_data: bytes


def _attested(raw: bytes, *, credential_id: bytes) -> tuple[bytes, bytes]:
    """Return the COSE key and the extension bytes; they must add up to exactly what the authenticator sent."""
    try:
        data = parse_authenticator_data(raw)
    except UNREADABLE as error:
        raise WebAuthnRefused("authenticator_data_malformed", type(error).__name__) from None
    attested = data.attested_credential_data
    if attested is None:
        _refuse("authenticator_data_malformed", "no key in it")
    if attested.credential_id != credential_id:
        _refuse("credential_id_differs")
    extensions = data.extensions or b""
    start = 37 + 16 + 2 + len(credential_id)
    if raw[start:] != attested.credential_public_key + extensions:
        _refuse("authenticator_data_malformed", "not canonical")
    return attested.credential_public_key, extensions


# -- the key and the signature -------------------------------------------------------------------


def _check_key(public_key: bytes) -> int:
    """Return the algorithm of a key that we offer; refuse others cleanly, before a library trips over them."""
    key = _cbor_map(public_key)
    algorithm = key.get(3)
    if not isinstance(algorithm, int) or algorithm not in ALGORITHMS:
        _refuse("algorithm_not_offered", str(algorithm))
    if key.get(-1) != CURVES.get(algorithm, key.get(-1)):
        _refuse("key_malformed", "curve")
    try:
        loaded = decoded_public_key_to_cryptography(decode_credential_public_key(public_key))
    except UNREADABLE as error:
        raise WebAuthnRefused("key_malformed", type(error).__name__) from None
    if isinstance(loaded, RSAPublicKey) and loaded.key_size < RSA_MIN_BITS:
        _refuse("key_malformed", "RSA key too short")
    return algorithm


def _verified_count(parsed: _Parsed, *, key: StoredKey, challenge: bytes, rp_id: str, origin: str) -> int:
    try:
        verified = verify_authentication_response(
            credential=parsed.outer,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=0,  # the library raises on its own; the policy on counts is the caller's
            require_user_verification=True,
        )
    except (InvalidSignature, *UNREADABLE) as error:
        raise WebAuthnRefused("signature_wrong", str(error)[:200]) from None
    return verified.new_sign_count


def _verified_aaguid(parsed: _Parsed, *, challenge: bytes, rp_id: str, origin: str) -> str:
    try:
        return verify_registration_response(
            credential=parsed.outer,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(algorithm) for algorithm in ALGORITHMS],
        ).aaguid
    except (InvalidSignature, *UNREADABLE) as error:
        raise WebAuthnRefused("attestation_wrong", str(error)[:200]) from None
