"""An issuer and an agent that sign for real, and everything they could write wrongly."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from aims.resource_server import jws
from aims.resource_server.dpop import Nonces
from aims.resource_server.guard import Guard, Request
from aims.resource_server.memory import InProcess, Memory

NOW = 1_800_000_000.0
ISSUER = "https://issuer.example"
API = "https://pay.example/"
PAYMENTS = "https://pay.example/payments"
SigningKey = ECKey | RSAKey | OKPKey

PAYMENT: dict[str, Any] = {
    "type": "payment_initiation",
    "actions": ["payments.initiate"],
    "locations": [API],
    "instructedAmount": {"amount": "10.00", "currency": "EUR"},
    "creditorName": "Acme",
}


def written(header: Mapping[str, Any] | str, claims: Mapping[str, Any] | str, key: SigningKey, *, alg: str) -> str:
    """Return a compact JWS of exactly this header and payload, rightly signed with ``alg`` whatever the header says."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    signing_input = ".".join(jws.base64url(part.encode()) for part in parts)
    signature = JWSRegistry.algorithms[alg].sign(signing_input.encode(), key)
    return f"{signing_input}.{jws.base64url(signature)}"


def hmac_signed(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    """Return a JWS under HS256 with any secret; joserfc refuses to take a public key for one."""
    signing_input = ".".join(jws.base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signing_input}.{jws.base64url(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def with_changes(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with members changed; None leaves one out."""
    return {name: value for name, value in {**base, **changed}.items() if value is not None}


@dataclass
class Issuer:
    """An authorization server's signing key, and how it writes access tokens."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    kid: str = "key-1"

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False) | {"kid": self.kid, "use": "sig", "alg": "ES256"}]}

    def lookup(self, kid: str) -> jws.Key | None:
        return jws.public_key(self.key.as_dict(private=False)) if kid == self.kid else None

    def header(self, **changed: Any) -> dict[str, Any]:
        return with_changes({"typ": "at+jwt", "alg": "ES256", "kid": self.kid}, changed)

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(NOW)
        return with_changes(
            {
                "iss": ISSUER, "sub": "psn_ada", "client_id": "spiffe://acme.example/courier", "aud": API,
                "iat": now, "exp": now + 300, "jti": uuid4().hex, "scope": "accounts.read drafts.write",
            },
            changed,
        )  # fmt: skip

    def token(self, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        return written(self.header(**(header or {})), self.claims(**changed), self.key, alg="ES256")

    def approved(self, approval_id: str = "arq_1", **changed: Any) -> str:
        """Return a token with a person's approval of ``PAYMENT``."""
        approval = {"id": approval_id, "approved_at": int(NOW), "approved_until": int(NOW) + 300}
        return self.token(**{"authorization_details": [PAYMENT], "approval": approval, "scope": None} | changed)


@dataclass
class Holder:
    """An agent with a key of its own."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    @property
    def jwk(self) -> dict[str, Any]:
        return self.key.as_dict(private=False)

    @property
    def cnf(self) -> dict[str, str]:
        return {"jkt": self.key.thumbprint()}

    def header(self, **changed: Any) -> dict[str, Any]:
        return with_changes({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}, changed)

    def claims(self, token: str | None, **changed: Any) -> dict[str, Any]:
        base = {"jti": uuid4().hex, "htm": "POST", "htu": PAYMENTS, "iat": int(NOW)}
        hashed = {} if token is None else {"ath": jws.base64url(hashlib.sha256(token.encode()).digest())}
        return with_changes(base | hashed, changed)

    def proof(self, token: str | None, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        return written(self.header(**(header or {})), self.claims(token, **changed), self.key, alg="ES256")


def guard(
    issuer: Issuer,
    *,
    takes_bearer: bool = True,
    nonces: Nonces | None = None,
    memory: Memory | None = None,
    introspect: Callable[[str], Mapping[str, Any]] = lambda token: {"active": True},
) -> Guard:
    """Return the checks of an API that has run for an hour."""
    return Guard(
        issuer=ISSUER,
        identifier=API,
        keys=issuer.lookup,
        token_algorithms=jws.ALGORITHMS,
        proof_algorithms=frozenset({"ES256", "EdDSA"}),
        memory=memory or InProcess(began_at=NOW - 3600),
        introspect=introspect,
        takes_bearer=takes_bearer,
        nonces=nonces,
        skew_s=10,
        metadata_url="https://pay.example/.well-known/oauth-protected-resource",
    )


def request(
    token: str | None,
    *proofs: str,
    scheme: str = "Bearer",
    method: str = "POST",
    url: str = PAYMENTS,
    certificate: bytes | None = None,
) -> Request:
    """Return a request with a token and proofs."""
    sent = () if token is None else (f"{scheme} {token}",)
    return Request(method=method, url=url, authorization=sent, dpop=proofs, certificate=certificate)
