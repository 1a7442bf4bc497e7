"""Key files of the demo's processes: made by the process that uses them, never seen by the console.

``python -m aims.demo.keys FILE...`` makes each FILE (0600) that is not there and prints the public JWK Sets, as a list.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from joserfc import jws
from joserfc.jwk import ECKey


def load_or_make(path: Path) -> ECKey:
    """Return the P-256 key in ``path``; a new one is written first where there is none."""
    if not path.exists():
        key = ECKey.generate_key("P-256", auto_kid=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(key.as_dict(private=True), file)
    return ECKey.import_key(json.loads(path.read_text()))


def public_jwks(key: ECKey) -> dict[str, Any]:
    """Return the JWK Set to register: public members only, with ``alg`` and ``use``. Spec: RFC 7517 §5."""
    return {"keys": [{**key.as_dict(private=False), "alg": "ES256", "use": "sig"}]}


@dataclass
class Proving:
    """A key for DPoP, made here and never stored: what is bound to it lives as long as this process, or less."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    nonce: str | None = None

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """Return a proof for one request; with the access token that goes along, if any. Spec: RFC 9449 §4.2."""
        claims = {"jti": str(uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
        if token is not None:
            claims["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        elif self.nonce:
            claims["nonce"] = self.nonce  # the issuer's; a resource server has its own
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        return jws.serialize_compact(header, json.dumps(claims).encode(), self.key)

    def shown(self, method: str, url: str, token: str) -> dict[str, str]:
        """Return the headers that present a token which is bound to this key. Spec: RFC 9449 §7.1."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, url, token)}

    def learn(self, answer: requests.Response) -> bool:
        """Keep the issuer's newest nonce; return whether it wants the request again with it. Spec: RFC 9449 §8."""
        self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
        return answer.status_code == 400 and answer.json().get("error") == "use_dpop_nonce"


if __name__ == "__main__":
    print(json.dumps([public_jwks(load_or_make(Path(name))) for name in sys.argv[1:]]))
