"""A software authenticator: it makes passkeys and signs with them, as a browser and a security key would together.

For demonstrations and tests. Its AAGUID says so, its keys live in memory only and die with the process, and nobody
is in front of it: the flags "user present" and "user verified" are claims, as they are with any authenticator whose
maker one does not trust. Imports neither Django nor anything of ours.

Run: ``python -m aims.demo.authenticator --origin http://localhost:8000 --rp-id localhost`` reads one JSON object a
line, ``{"create": options}`` or ``{"get": options}``, and writes the credential's ``toJSON()`` form, one a line.

Spec: WebAuthn L3 §5.1.3, §5.1.4, §6.1, §6.3; the JSON forms of §5.1.8.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

# "AIMS software" and a number: published, so that a log or a policy can tell this authenticator from a real one.
SOFTWARE_AAGUID = bytes.fromhex("41494d53736f66747761726500000001")
ES256, EDDSA, RS256 = -7, -8, -257
RSA_BITS = 2048
PRESENT_AND_VERIFIED = 0x01 | 0x04
ATTESTED_DATA = 0x40

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class NoCredential(Exception):
    """None of this authenticator's keys fits the options, or the options ask for what it cannot do."""


@dataclass
class SoftCredential:
    """One key pair of one user at one relying party. sign_count: counts assertions, as a security key does."""

    credential_id: bytes
    rp_id: str
    user_handle: bytes
    private_key: PrivateKey
    sign_count: int = 0

    @property
    def cose_key(self) -> bytes:
        """Return the public key as a COSE_Key. Spec: RFC 9053 §7; RFC 8230 §4; RFC 8812 §2."""
        return cbor2.dumps(_cose_members(self.private_key))

    def sign(self, message: bytes) -> bytes:
        """Return the signature over a message. Spec: WebAuthn L3 §6.5.5."""
        match self.private_key:
            case ec.EllipticCurvePrivateKey() as key:
                return key.sign(message, ec.ECDSA(SHA256()))
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(message)
            case rsa.RSAPrivateKey() as key:
                return key.sign(message, padding.PKCS1v15(), SHA256())


def _cose_members(private_key: PrivateKey) -> dict[int, int | bytes]:
    match private_key:
        case ec.EllipticCurvePrivateKey():
            point = private_key.public_key().public_numbers()
            return {1: 2, 3: ES256, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        case ed25519.Ed25519PrivateKey():
            return {1: 1, 3: EDDSA, -1: 6, -2: private_key.public_key().public_bytes_raw()}
        case rsa.RSAPrivateKey():
            numbers = private_key.public_key().public_numbers()
            return {1: 3, 3: RS256, -1: _unsigned(numbers.n), -2: _unsigned(numbers.e)}


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _new_key(algorithm: int) -> PrivateKey:
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == RS256:
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


class SoftAuthenticator:
    """A browser tab at one origin together with an authenticator that always says yes.

    algorithms: those that it makes keys for; as with any authenticator, which one is made is the relying party's wish.
    """

    def __init__(self, origin: str, rp_id: str, *, algorithms: Collection[int] = (ES256,)) -> None:
        self.origin = origin
        self.rp_id = rp_id
        self.algorithms = algorithms
        self.credentials: list[SoftCredential] = []

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make a passkey. options: PublicKeyCredentialCreationOptionsJSON. Raises NoCredential."""
        if options["rp"].get("id", self.rp_id) != self.rp_id:
            raise NoCredential("another relying party")
        wanted = [each["alg"] for each in options["pubKeyCredParams"] if each["alg"] in self.algorithms]
        if not wanted:
            raise NoCredential("none of the algorithms is known here")
        if self._matching(options.get("excludeCredentials", [])):
            raise NoCredential("there is a passkey here already")
        credential = SoftCredential(
            secrets.token_bytes(32),
            self.rp_id,
            unb64url(options["user"]["id"]),
            self.new_key(wanted[0]),
        )
        self.credentials.append(credential)
        return self._registration(credential, self.client_data("webauthn.create", options["challenge"]))

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Sign a challenge. options: PublicKeyCredentialRequestOptionsJSON. Raises NoCredential."""
        if options.get("rpId", self.rp_id) != self.rp_id:
            raise NoCredential("another relying party")
        allowed = options.get("allowCredentials") or []
        matching = self._matching(allowed) if allowed else self.credentials
        if not matching:
            raise NoCredential("no passkey here fits")
        credential = matching[-1]
        credential.sign_count += 1
        data = self.authenticator_data(credential)
        return self._assertion(credential, data, self.client_data("webauthn.get", options["challenge"]))

    def new_key(self, algorithm: int) -> PrivateKey:
        """Return a fresh key for one of the algorithms that it knows."""
        return _new_key(algorithm)

    def client_data(self, kind: str, challenge: str) -> bytes:
        """Return clientDataJSON in the one serialisation of WebAuthn L3 §5.8.1.1."""
        members = {
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": False,
        }
        return json.dumps(members, separators=(",", ":")).encode()

    def authenticator_data(self, credential: SoftCredential, *, attested: bytes = b"") -> bytes:
        """Return rpIdHash, flags, counter and what follows them. attested: attested credential data or nothing."""
        flags = PRESENT_AND_VERIFIED | (ATTESTED_DATA if attested else 0)
        head = hashlib.sha256(credential.rp_id.encode()).digest() + bytes([flags])
        return head + credential.sign_count.to_bytes(4, "big") + attested

    def _matching(self, descriptors: list[dict[str, Any]]) -> list[SoftCredential]:
        ids = {unb64url(descriptor["id"]) for descriptor in descriptors}
        return [credential for credential in self.credentials if credential.credential_id in ids]

    def _registration(self, credential: SoftCredential, client_data: bytes) -> dict[str, Any]:
        id_length = len(credential.credential_id).to_bytes(2, "big")
        attested = SOFTWARE_AAGUID + id_length + credential.credential_id + credential.cose_key
        data = self.authenticator_data(credential, attested=attested)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": b64url(client_data),
            "attestationObject": b64url(attestation),
            "transports": ["internal"],
        }
        return _as_json(credential, response)

    def _assertion(self, credential: SoftCredential, data: bytes, client_data: bytes) -> dict[str, Any]:
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "clientDataJSON": b64url(client_data),
            "authenticatorData": b64url(data),
            "signature": b64url(credential.sign(signed)),
            "userHandle": b64url(credential.user_handle),
        }
        return _as_json(credential, response)


def _as_json(credential: SoftCredential, response: dict[str, Any]) -> dict[str, Any]:
    credential_id = b64url(credential.credential_id)
    return {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": response,
    }


def b64url(raw: bytes) -> str:
    """Return unpadded base64url. Spec: RFC 7515 §2."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """Return the bytes of unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main() -> None:
    """Answer one line of options at a time until the input ends."""
    parser = argparse.ArgumentParser(
        description="Software authenticator for demonstrations; it says yes to everything."
    )
    parser.add_argument("--origin", required=True)
    parser.add_argument("--rp-id", required=True)
    arguments = parser.parse_args()
    authenticator = SoftAuthenticator(arguments.origin, arguments.rp_id)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = authenticator.create(asked["create"]) if "create" in asked else authenticator.get(asked["get"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
