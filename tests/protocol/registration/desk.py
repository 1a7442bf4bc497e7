"""A client that registers itself over HTTP, and what it holds afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.test import Client as HttpClient
from joserfc.jwk import ECKey

CALLBACK = "https://app.example/callback"
REGISTER = "/oauth/register"


@dataclass
class Desk:
    """The registration endpoint, from one address."""

    address: str = "198.51.100.7"
    http: HttpClient = field(default_factory=lambda: HttpClient(raise_request_exception=False))

    def send(self, method: str, path: str, body: Any = None, token: str = "", **extra: Any) -> Any:
        """Send a request. body: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        kind = extra.pop("content_type", "application/json")
        return self.http.generic(
            method, path, raw, content_type=kind, headers=headers, REMOTE_ADDR=self.address, **extra
        )

    def register(self, **members: Any) -> Any:
        """Register; a member of None is left out."""
        base = {"redirect_uris": [CALLBACK], "client_name": "Nimble"}
        return self.send("POST", REGISTER, {k: v for k, v in (base | members).items() if v is not None})

    def registered(self, **members: Any) -> dict[str, Any]:
        """Register, which must work, and return the answer."""
        answer = self.register(**members)
        assert answer.status_code == 201, answer.content
        return dict(answer.json())

    def manage(self, method: str, held: dict[str, Any], body: Any = None, *, token: str | None = None) -> Any:
        """Use the management address of a registration with its token, or with another."""
        path = urlsplit(held["registration_client_uri"]).path
        return self.send(method, path, body, held["registration_access_token"] if token is None else token)

    def rewritten(self, held: dict[str, Any], **members: Any) -> dict[str, Any]:
        """Return what a PUT sends: what was registered, with these members changed; None leaves one out."""
        issued = {"registration_access_token", "registration_client_uri", "client_id_issued_at"}
        body = {name: value for name, value in held.items() if name not in issued} | members
        return {name: value for name, value in body.items() if value is not None}


def jwks_of(*keys: ECKey) -> dict[str, Any]:
    """Return the public keys as a JWK set."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def new_key() -> ECKey:
    """Return a key nobody has."""
    return ECKey.generate_key("P-256", auto_kid=True)


def code_of(answer: Any, status: int = 400) -> str:
    """Return the error of an answer that must have this status. RFC 7591 §3.2.2: JSON that nobody keeps."""
    assert answer.status_code == status, answer.content
    assert answer["Cache-Control"] == "no-store"
    return str(answer.json()["error"])
