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
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

# "AIMS software" and a number: published, so that a log or a policy can tell this authenticator from a real one.
SOFTWARE_AAGUID = bytes.fromhex("41494d53736f66747761726500000001")
ES256 = -7
PRESENT_AND_VERIFIED = 0x01 | 0x04
ATTESTED_DATA = 0x40


class NoCredential(Exception):
    """None of this authenticator's keys fits the options, or the options ask for what it cannot do."""


@dataclass
class SoftCredential:
    """One key pair of one user at one relying party. sign_count: counts assertions, as a security key does."""

    credential_id: bytes
    rp_id: str
    user_handle: bytes
    private_key: ec.EllipticCurvePrivateKey
    sign_count: int = 0

    @property
    def cose_key(self) -> bytes:
        """Return the public key as a COSE_Key. Spec: RFC 9053 §7.1.1; RFC 8812 §2."""
        numbers = self.private_key.public_key().public_numbers()
        x, y = (coordinate.to_bytes(32, "big") for coordinate in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: ES256, -1: 1, -2: x, -3: y})


class SoftAuthenticator:
    """A browser tab at one origin together with an authenticator that always says yes."""

    def __init__(self, origin: str, rp_id: str) -> None:
        self.origin = origin
        self.rp_id = rp_id
        self.credentials: list[SoftCredential] = []

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make a passkey. options: PublicKeyCredentialCreationOptionsJSON. Raises NoCredential."""
        if options["rp"].get("id", self.rp_id) != self.rp_id:
            raise NoCredential("another relying party")
        if ES256 not in [wanted["alg"] for wanted in options["pubKeyCredParams"]]:
            raise NoCredential("only ES256 is known here")
        if self._matching(options.get("excludeCredentials", [])):
            raise NoCredential("there is a passkey here already")
        credential = SoftCredential(
            secrets.token_bytes(32),
            self.rp_id,
            unb64url(options["user"]["id"]),
            ec.generate_private_key(ec.SECP256R1()),
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
            "signature": b64url(credential.private_key.sign(signed, ec.ECDSA(SHA256()))),
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
