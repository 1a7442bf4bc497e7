"""The software authenticator for tests, and the knobs that make it lie: every lie is signed for real."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from aims.demo.authenticator import (
    ES256,
    SOFTWARE_AAGUID,
    NoCredential,
    SoftAuthenticator,
    SoftCredential,
    b64url,
    unb64url,
)

__all__ = [
    "SOFTWARE_AAGUID",
    "HostileAuthenticator",
    "NoCredential",
    "SoftAuthenticator",
    "b64url",
    "unb64url",
]


@dataclass
class Lies:
    """What to do differently. Each default is the truth.

    flags: bits to flip. members: clientDataJSON members to set, or to remove with None. client_data: rewrites the
    bytes of clientDataJSON; trailing: bytes after the authenticator data. All happen before the signature, so that
    the signature holds. handle: another user handle. response and outer: members of the JSON answer, unsigned.
    """

    flags: int = 0
    members: dict[str, Any] = field(default_factory=dict)
    client_data: Callable[[bytes], bytes] | None = None
    trailing: bytes = b""
    rp_id: str | None = None
    handle: bytes | None = None
    sign_count: int | None = None
    response: dict[str, Any] = field(default_factory=dict)
    outer: dict[str, Any] = field(default_factory=dict)


class HostileAuthenticator(SoftAuthenticator):
    """A software authenticator that lies as told, and signs its lies with a genuine key."""

    def __init__(
        self, origin: str, rp_id: str, lies: Lies | None = None, *, algorithms: Collection[int] = (ES256,)
    ) -> None:
        super().__init__(origin, rp_id, algorithms=algorithms)
        self.lies = lies or Lies()

    def client_data(self, kind: str, challenge: str) -> bytes:
        members = {
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": False,
        }
        members |= self.lies.members
        kept = {name: value for name, value in members.items() if value is not None}
        raw = json.dumps(kept, separators=(",", ":")).encode()
        return self.lies.client_data(raw) if self.lies.client_data else raw

    def authenticator_data(self, credential: SoftCredential, *, attested: bytes = b"") -> bytes:
        if self.lies.sign_count is not None:
            credential.sign_count = self.lies.sign_count
        data = bytearray(super().authenticator_data(credential, attested=attested))
        data[32] ^= self.lies.flags
        if self.lies.rp_id is not None:
            data[:32] = hashlib.sha256(self.lies.rp_id.encode()).digest()
        return bytes(data) + self.lies.trailing

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        return self._with_unsigned_lies(super().create(options))

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        return self._with_unsigned_lies(super().get(options))

    def _with_unsigned_lies(self, answer: dict[str, Any]) -> dict[str, Any]:
        if self.lies.handle is not None:
            answer["response"]["userHandle"] = b64url(self.lies.handle)
        answer["response"] |= self.lies.response
        return answer | self.lies.outer
