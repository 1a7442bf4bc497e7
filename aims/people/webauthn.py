"""The strict WebAuthn layer: py_webauthn verifies, this module refuses what it lets through. Pure.

Spec: W3C Web Authentication Level 3 §5.8.1, §6.1, §7.1, §7.2. What is stricter here than there: user verification
always, no cross-origin use, canonical base64url, no duplicate members, no extension that nobody asked for, and
only the three algorithms that we offer. A refusal names its rule in ``code``; it never carries the response.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import cbor2
from cryptography.exceptions import InvalidSignature
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import parse_attestation_object, parse_authenticator_data
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import AttestationObject

from aims.people.answer import (
    ATTESTATION_MAX_BYTES,
    AUTHENTICATOR_DATA_MAX_BYTES,
    CLIENT_DATA_MAX_BYTES,
    SIGNATURE_MAX_BYTES,
    UNREADABLE,
    Flags,
    Parsed,
    WebAuthnRefused,
    cbor_map,
    challenge_of,
    check_client_data,
    client_data,
    parsed_response,
    part,
    refuse,
    transports,
    user_handle_of,
)
from aims.people.cose import ALGORITHMS, check_key

__all__ = [
    "ADD_KEY",
    "ALGORITHMS",
    "ENROL",
    "SIGN_IN",
    "Assertion",
    "Claimed",
    "Flags",
    "Registration",
    "StoredKey",
    "WebAuthnRefused",
    "claimed",
    "tagged_challenge",
    "verify_assertion",
    "verify_registration",
]

SIGN_IN = b"aims-sign-in/v1"
ENROL = b"aims-enrol/v1"
ADD_KEY = b"aims-add-key/v1"

# Chromium asks security keys for credProtect on its own when a key is discoverable; platforms answer hmac-secret;
# password managers report credProps. None of them changes what a signature means. An assertion has none.
REGISTRATION_EXTENSIONS = frozenset({"credProtect", "hmac-secret", "credProps"})
NO_EXTENSIONS: frozenset[str] = frozenset()


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
    parsed = parsed_response(response)
    said = client_data(part(parsed.inner, "clientDataJSON", CLIENT_DATA_MAX_BYTES))
    return Claimed(parsed.credential_id, challenge_of(said), user_handle_of(parsed.inner))


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
    parsed = parsed_response(response)
    client_data_json = part(parsed.inner, "clientDataJSON", CLIENT_DATA_MAX_BYTES)
    authenticator_data = part(parsed.inner, "authenticatorData", AUTHENTICATOR_DATA_MAX_BYTES)
    signature = part(parsed.inner, "signature", SIGNATURE_MAX_BYTES)
    key = keys.get(parsed.credential_id)
    if key is None:
        refuse("credential_not_allowed")
    handle = user_handle_of(parsed.inner)
    if handle is not None and user_handle is not None and not hmac.compare_digest(handle, user_handle):
        refuse("user_handle_differs")
    origin = check_client_data(client_data_json, kind="webauthn.get", challenge=challenge, origins=origins)
    flags = _check_flags(authenticator_data, rp_id=rp_id)
    if Flags.ATTESTED_DATA in flags:
        refuse("attested_data_in_assertion")
    if (Flags.BACKUP_ELIGIBLE in flags) != key.is_backup_eligible:
        refuse("backup_eligibility_changed")
    _check_extensions(authenticator_data[37:], flags=flags, parsed=parsed, allowed=NO_EXTENSIONS)
    check_key(key.public_key)
    sign_count = _verified_count(parsed, key=key, challenge=challenge, rp_id=rp_id, origin=origin)
    # L3 §7.2 step 22: a signal, not a proof, of cloning. Ours is to refuse; the person adds a new key.
    if (sign_count or key.sign_count) and sign_count <= key.sign_count:
        refuse("clone_suspected", f"count {sign_count} after {key.sign_count}")
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
    parsed = parsed_response(response)
    client_data_json = part(parsed.inner, "clientDataJSON", CLIENT_DATA_MAX_BYTES)
    attestation_object = part(parsed.inner, "attestationObject", ATTESTATION_MAX_BYTES)
    origin = check_client_data(client_data_json, kind="webauthn.create", challenge=challenge, origins=origins)
    attestation = _attestation(attestation_object)
    raw = attestation.raw_auth_data
    flags = _check_flags(raw, rp_id=rp_id)
    public_key, extensions = _attested(raw, credential_id=parsed.credential_id)
    _check_extensions(extensions, flags=flags, parsed=parsed, allowed=REGISTRATION_EXTENSIONS)
    algorithm = check_key(public_key)
    aaguid = _verified_aaguid(parsed, challenge=challenge, rp_id=rp_id, origin=origin)
    return Registration(
        credential_id=parsed.credential_id,
        public_key=public_key,
        algorithm=algorithm,
        sign_count=int.from_bytes(raw[33:37], "big"),
        aaguid=aaguid,
        transports=transports(parsed.inner),
        is_backup_eligible=Flags.BACKUP_ELIGIBLE in flags,
        is_backed_up=Flags.BACKED_UP in flags,
        attestation_object=attestation_object,
        client_data_json=client_data_json,
        origin=origin,
    )


# -- authenticator data (WebAuthn L3 §6.1) -------------------------------------------------------


def _check_flags(raw: bytes, *, rp_id: str) -> Flags:
    if len(raw) < 37:
        refuse("authenticator_data_malformed")
    if not hmac.compare_digest(raw[:32], hashlib.sha256(rp_id.encode()).digest()):
        refuse("wrong_rp_id")
    flags = Flags(raw[32])
    if Flags.USER_PRESENT not in flags:
        refuse("user_not_present")
    if Flags.USER_VERIFIED not in flags:
        refuse("user_not_verified")
    if Flags.BACKED_UP in flags and Flags.BACKUP_ELIGIBLE not in flags:
        refuse("backup_flags_contradict")
    return flags


def _check_extensions(raw: bytes, *, flags: Flags, parsed: Parsed, allowed: frozenset[str]) -> None:
    """Refuse outputs of extensions that nobody asked for, from the authenticator (signed) or from the client."""
    outputs = cbor_map(raw) if Flags.EXTENSION_DATA in flags else {}
    if raw and Flags.EXTENSION_DATA not in flags:
        refuse("authenticator_data_malformed", "bytes left over")
    client_outputs = parsed.outer.get("clientExtensionResults", {})
    if not isinstance(client_outputs, dict):
        refuse("response_malformed", "clientExtensionResults")
    if not (outputs.keys() | client_outputs.keys()) <= allowed:
        refuse("extension_not_asked_for")


def _attestation(raw: bytes) -> _Attestation:
    cbor_map(raw)
    try:
        parsed = parse_attestation_object(raw)
    except UNREADABLE as error:
        raise WebAuthnRefused("attestation_malformed", type(error).__name__) from None
    is_self = parsed.fmt == "packed" and not parsed.att_stmt.x5c
    if parsed.fmt != "none" and not is_self:
        refuse("attestation_not_asked_for", str(parsed.fmt))
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
        refuse("authenticator_data_malformed", "no key in it")
    if attested.credential_id != credential_id:
        refuse("credential_id_differs")
    extensions = data.extensions or b""
    start = 37 + 16 + 2 + len(credential_id)
    if raw[start:] != attested.credential_public_key + extensions:
        refuse("authenticator_data_malformed", "not canonical")
    return attested.credential_public_key, extensions


# -- the key and the signature -------------------------------------------------------------------


def _verified_count(parsed: Parsed, *, key: StoredKey, challenge: bytes, rp_id: str, origin: str) -> int:
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


def _verified_aaguid(parsed: Parsed, *, challenge: bytes, rp_id: str, origin: str) -> str:
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
