"""A key that a client proves with every request, as RFC 9449 §4.2 writes the proof; made for real."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.conf import settings
from joserfc.jwk import ECKey
from joserfc.jws import serialize_compact

from aims.kit import clock


@dataclass
class Key:
    """A key of the client's own, for proofs and nothing else."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    @property
    def jkt(self) -> str:
        return str(self.key.thumbprint())

    def claims(self, path: str = "/oauth/token", *, token: str | None = None, **changed: Any) -> dict[str, Any]:
        claims = {"jti": uuid4().hex, "htm": "POST", "htu": settings.ISSUER + path, "iat": clock.epoch_s()}
        if token is not None:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def proof(self, path: str = "/oauth/token", *, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        """Return a proof; ``header`` and the named claims are written over, None takes one out."""
        protected = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)} | dict(header or {})
        made = {name: value for name, value in protected.items() if value is not None}
        return str(serialize_compact(made, json.dumps(self.claims(path, **changed)).encode(), self.key))
