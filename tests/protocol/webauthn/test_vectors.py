"""Published vectors against our policy: which of them we accept, and by which rule we refuse the rest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from aims.kit.ids import b64url, unb64url
from aims.people.webauthn import StoredKey, WebAuthnRefused, verify_assertion, verify_registration

VECTORS = Path(__file__).parents[2] / "vectors"
L3 = json.loads((VECTORS / "webauthn-l3-vectors.json").read_text())
EP = json.loads((VECTORS / "ep-signoffs-v1.json").read_text())

# Everything else in the file breaks one of our rules: the table says which. "yes" is accepted.
ASSERTIONS = {
    "none-es256": "user_not_verified",
    "packed-self-es256": "user_not_verified",
    "none-es256-crossOrigin": "cross_origin",
    "none-es256-topOrigin": "cross_origin",
    "none-es256-long-credential-id": "yes",
    "packed-es256": "yes",
    "packed-es384": "algorithm_not_offered",
    "packed-es512": "user_not_verified",
    "packed-rs256": "user_not_verified",
    "packed-eddsa": "user_not_verified",
    "packed-ed448": "algorithm_not_offered",
    "tpm-es256": "yes",
    "android-key-es256": "user_not_verified",
    "apple-es256": "user_not_verified",
    "fido-u2f-es256": "user_not_verified",
}
REGISTRATIONS = {
    "packed-self-es256": "yes",
    "none-es256": "user_not_verified",
    "none-es256-crossOrigin": "cross_origin",
    "none-es256-topOrigin": "cross_origin",
    "none-es256-long-credential-id": "user_not_verified",
}


def _credential(vector: dict[str, Any], part: str, names: tuple[str, ...]) -> str:
    credential_id = b64url(bytes.fromhex(vector["registration"]["credential_id"]))
    response = {name: b64url(bytes.fromhex(vector[part][name])) for name in names}
    return json.dumps({"id": credential_id, "rawId": credential_id, "type": "public-key", "response": response})


def _asserted(vector: dict[str, Any]) -> str:
    stored = StoredKey(
        bytes.fromhex(vector["registration"]["credential_id"]),
        bytes.fromhex(vector["derived"]["cose_public_key"]),
        0,
        bool(vector["derived"]["registration_flags"] & 0x08),
    )
    try:
        verify_assertion(
            _credential(vector, "authentication", ("clientDataJSON", "authenticatorData", "signature")),
            challenge=bytes.fromhex(vector["authentication"]["challenge"]),
            rp_id=L3["rp_id"],
            origins=[L3["origin"]],
            keys={stored.credential_id: stored},
            user_handle=b"usr_ada",
        )
    except WebAuthnRefused as refused:
        return refused.code
    return "yes"


def _registered(vector: dict[str, Any]) -> str:
    try:
        verify_registration(
            _credential(vector, "registration", ("clientDataJSON", "attestationObject")),
            challenge=bytes.fromhex(vector["registration"]["challenge"]),
            rp_id=L3["rp_id"],
            origins=[L3["origin"]],
        )
    except WebAuthnRefused as refused:
        return refused.code
    return "yes"


@pytest.mark.parametrize("vector", L3["vectors"], ids=lambda vector: vector["id"])
def test_w3c_assertions_are_judged_by_our_policy(vector: dict[str, Any]) -> None:
    assert _asserted(vector) == ASSERTIONS[vector["id"]]


@pytest.mark.parametrize("vector", L3["vectors"], ids=lambda vector: vector["id"])
def test_w3c_registrations_are_judged_by_our_policy(vector: dict[str, Any]) -> None:
    assert _registered(vector) == REGISTRATIONS.get(vector["id"], "attestation_not_asked_for")


@pytest.mark.parametrize("vector", EP["vectors"], ids=lambda vector: vector["id"])
def test_hostile_signoffs_are_refused_and_the_genuine_one_is_not(vector: dict[str, Any]) -> None:
    public_key = load_der_public_key(unb64url(vector["approver_public_key"]))
    assert isinstance(public_key, EllipticCurvePublicKey)
    numbers = public_key.public_numbers()
    cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
    signed = vector["signoff"]["webauthn"]
    names = {"clientDataJSON": "client_data_json", "authenticatorData": "authenticator_data", "signature": "signature"}
    response = {ours: signed[theirs] for ours, theirs in names.items()}
    credential = {"id": "a2V5", "rawId": "a2V5", "type": "public-key", "response": response}
    stored = StoredKey(b"key", cose, 0, False)
    try:
        verify_assertion(
            json.dumps(credential),
            challenge=hashlib.sha256(rfc8785.dumps(vector["signoff"]["context"])).digest(),
            rp_id=vector["rp_id"],
            origins=vector["allowed_origins"],
            keys={b"key": stored},
            user_handle=None,
        )
        is_valid = True
    except WebAuthnRefused:
        is_valid = False
    assert is_valid is vector["expect"]["valid"]
