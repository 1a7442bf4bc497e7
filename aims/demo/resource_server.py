"""The demo's resource server: a payments API that does what a token allows, once, and nothing else.

It trusts only the issuer's published keys: checks the token itself (RFC 9068 §4), demands a human approval for
payments, compares the approved details with the call, introspects at use (RFC 7662) and remembers each
``approval.id`` for ever, so that one approval is one payment.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from aims.demo.client import Client
from aims.demo.keys import load_or_make

BODY_MAX_BYTES = 16 * 1024
CLOCK_SKEW_S = 10


class Refused(Exception):
    """Why a call is not done, as RFC 6750 §3.1 and RFC 9470 §3 spell it."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status, self.error, self.description = status, error, description


@dataclass
class Payments:
    """The API behind the HTTP face. ``ledger``: a SQLite file that remembers what was paid under which approval."""

    client: Client
    identifier: str
    ledger: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: KeySet | None = None

    def __post_init__(self) -> None:
        with self._open() as book:
            book.execute("CREATE TABLE IF NOT EXISTS paid (approval TEXT PRIMARY KEY, details TEXT, at INTEGER)")

    def balance(self, token: str) -> dict[str, Any]:
        claims = self._claims(token)
        if "accounts.read" not in str(claims.get("scope", "")).split():
            raise Refused(403, "insufficient_scope", "the scope accounts.read is needed")
        return {"account": "DE89 3704 0044 0532 0130 00", "balance": "61204.55", "currency": "EUR"}

    def pay(self, token: str, order: dict[str, Any]) -> dict[str, Any]:
        """Pay once, exactly as approved. order: an ``authorization_details`` object of type payment_initiation."""
        claims = self._claims(token)
        approval = claims.get("approval")
        if not isinstance(approval, dict):
            raise Refused(401, "insufficient_user_authentication", "this payment needs a person's approval")
        if time.time() > approval["approved_until"]:
            raise Refused(401, "invalid_token", "the approval has lapsed")
        if order not in claims.get("authorization_details", []):
            raise Refused(403, "insufficient_scope", "the token allows another payment than this one")
        if not self._introspect(token).get("active"):
            raise Refused(401, "invalid_token", "the token is no longer active")
        self._spend(approval["id"], order)
        return {"status": "paid", "approval": approval["id"], "amount": order["instructedAmount"]}

    def _spend(self, approval_id: str, order: dict[str, Any]) -> None:
        # The insert is the check: two equal calls at once leave one payment.
        with self.lock, self._open() as book:
            try:
                book.execute("INSERT INTO paid VALUES (?, ?, ?)", (approval_id, json.dumps(order), int(time.time())))
            except sqlite3.IntegrityError:
                raise Refused(403, "access_denied", "this approval has already been used") from None

    def _claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a valid access token for us. Spec: RFC 9068 §4."""
        try:
            decoded = jwt.decode(token, self._issuer_keys(), algorithms=["ES256"])
        except (JoseError, ValueError) as error:
            raise Refused(401, "invalid_token", f"not a token of our issuer ({type(error).__name__})") from error
        claims, now = decoded.claims, time.time()
        audience = claims.get("aud")
        if str(decoded.header.get("typ", "")).lower().removeprefix("application/") != "at+jwt":
            raise Refused(401, "invalid_token", "not an access token")
        if claims.get("iss") != self.client.issuer or self.identifier not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise Refused(401, "invalid_token", "the token is for somebody else")
        if now > claims.get("exp", 0) + CLOCK_SKEW_S:
            raise Refused(401, "invalid_token", "the token has expired")
        return claims

    def _issuer_keys(self) -> KeySet:
        if self.keys is None:
            answer = requests.get(self.client.metadata["jwks_uri"], timeout=5)
            answer.raise_for_status()
            self.keys = KeySet.import_key_set(answer.json())
        return self.keys

    def _introspect(self, token: str) -> dict[str, Any]:
        return self.client.call("introspection_endpoint", {"token": token}).body

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.ledger)


class Face(BaseHTTPRequestHandler):
    """HTTP in front of ``Payments``: GET /accounts, POST /payments."""

    payments: Payments
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/accounts":
            return self._answer(404, {"error": "not_found"})
        self._guarded(lambda token: self.payments.balance(token))

    def do_POST(self) -> None:
        if self.path != "/payments":
            return self._answer(404, {"error": "not_found"})
        size = int(self.headers.get("Content-Length") or 0)
        if size > BODY_MAX_BYTES:
            return self._answer(413, {"error": "too_large"})
        try:
            order = json.loads(self.rfile.read(size))
        except ValueError:
            return self._answer(400, {"error": "invalid_request"})
        self._guarded(lambda token: self.payments.pay(token, order))

    def _guarded(self, act: Any) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer" or not token:
                raise Refused(401, "", "send an access token")
            self._answer(200, act(token.strip()))
        except Refused as refusal:
            challenge = f'Bearer error="{refusal.error}", error_description="{refusal.description}"'
            body = {"error": refusal.error, "error_description": refusal.description}
            self._answer(refusal.status, body, {"WWW-Authenticate": challenge if refusal.error else "Bearer"})

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: request lines are for the audit log, not the terminal."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--identifier", required=True, help="this API's resource indicator")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    Face.payments = Payments(
        Client(options.issuer, options.identifier, load_or_make(options.key)), options.identifier, options.ledger
    )
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Face)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
