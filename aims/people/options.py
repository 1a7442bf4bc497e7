"""What we ask of a browser: the options of ``navigator.credentials`` as JSON values. Pure.

Spec: WebAuthn L3 §5.4, §5.5 and the JSON forms of §5.1.8 to §5.1.10.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aims.kit.ids import b64url
from aims.people.webauthn import ALGORITHMS

TIMEOUT_MS = 300_000  # WebAuthn L3 §15.1 recommends 5 to 10 minutes; py_webauthn's default is one


@dataclass(frozen=True)
class Descriptor:
    """A key by its credential id, with what its authenticator said about ways to reach it."""

    credential_id: bytes
    transports: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the PublicKeyCredentialDescriptorJSON."""
        return {
            "type": "public-key",
            "id": b64url(self.credential_id),
            "transports": list(self.transports),
        }


def creation_options(
    *,
    challenge: bytes,
    rp_id: str,
    rp_name: str,
    user_handle: bytes,
    user_name: str,
    user_display_name: str,
    exclude: Iterable[Descriptor],
) -> dict[str, Any]:
    """Return options for a discoverable, user-verifying key without attestation."""
    return {
        "challenge": b64url(challenge),
        "rp": {"id": rp_id, "name": rp_name},
        "user": {
            "id": b64url(user_handle),
            "name": user_name,
            "displayName": user_display_name,
        },
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
        "timeout": TIMEOUT_MS,
        "excludeCredentials": [key.as_json() for key in exclude],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,  # what Level 1 browsers read
            "userVerification": "required",
        },
        "attestation": "none",
        "extensions": {},
    }


def request_options(*, challenge: bytes, rp_id: str, allow: Iterable[Descriptor]) -> dict[str, Any]:
    """Return options for an assertion with user verification. allow: empty asks for any discoverable key."""
    return {
        "challenge": b64url(challenge),
        "rpId": rp_id,
        "timeout": TIMEOUT_MS,
        "allowCredentials": [key.as_json() for key in allow],
        "userVerification": "required",
        "extensions": {},
    }
