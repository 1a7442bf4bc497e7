"""The demo's resource server: a payments API that does what a token allows, once, and nothing else.

It trusts only the issuer's published keys. Its checks are those of ``aims.resource_server``, the folder that any API may
copy: for reading a scope, for paying a person's approval of exactly this payment, which the issuer still stands by.
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aims.demo.client import Client
from aims.demo.keys import load_or_make
from aims.resource_server import jws, metadata
from aims.resource_server.errors import Refused
from aims.resource_server.guard import Guard, Request
from aims.resource_server.keys import IssuerKeys
from aims.resource_server.memory import InFile

BODY_MAX_BYTES = 16 * 1024
CLOCK_SKEW_S = 10
READ, PAY = "accounts.read", "payment_initiation"
_UNREAD = {"Connection": "close"}  # or the body that was not read would be taken for the next request


def guard_of(client: Client, identifier: str, ledger: Path) -> Guard:
    """Return the API's checks. client: the API itself, which introspects. ledger: where used approvals stand."""

    def introspect(token: str) -> Mapping[str, Any]:
        return client.call("introspection_endpoint", {"token": token}).body

    return Guard(
        issuer=client.issuer,
        identifier=identifier,
        keys=IssuerKeys(client.metadata["jwks_uri"]),
        token_algorithms=frozenset({"ES256"}),
        proof_algorithms=jws.ALGORITHMS,
        memory=InFile(ledger),
        introspect=introspect,
        takes_bearer=False,
        nonces=None,
        skew_s=CLOCK_SKEW_S,
        metadata_url=metadata.well_known_url(identifier),
    )


@dataclass(frozen=True)
class Payments:
    """The API behind the HTTP face. ``ledger``: a SQLite file that remembers what was paid under which approval."""

    guard: Guard
    ledger: Path

    def __post_init__(self) -> None:
        with closing(sqlite3.connect(self.ledger)) as book, book:
            book.execute("CREATE TABLE IF NOT EXISTS paid (approval TEXT PRIMARY KEY, details TEXT, at INTEGER)")

    def about(self) -> dict[str, Any]:
        """Return what this API says of itself. Spec: RFC 9728 §2."""
        return metadata.document(
            identifier=self.guard.identifier,
            authorization_servers=[self.guard.issuer],
            takes_bearer=self.guard.takes_bearer,
            proof_algorithms=self.guard.proof_algorithms,
            name="Payments",
            scopes=[READ],
            detail_types=[PAY],
        )

    def balance(self, request: Request) -> dict[str, Any]:
        call = self.guard.admit(request, now=time.time())
        self.guard.require_scope(call, READ)
        return {"account": "DE89 3704 0044 0532 0130 00", "balance": "61204.55", "currency": "EUR"}

    def pay(self, request: Request, order: dict[str, Any]) -> dict[str, Any]:
        """Pay once, exactly as approved. order: an ``authorization_details`` object of type payment_initiation."""
        now = time.time()
        call = self.guard.admit(request, now=now)
        approval = self.guard.use_approval(call, order, now=now)
        # A crash here leaves an approval that is used and a payment that was not made: the agent must ask again.
        with closing(sqlite3.connect(self.ledger)) as book, book:
            book.execute("INSERT INTO paid VALUES (?, ?, ?)", (approval, json.dumps(order), int(now)))
        return {"status": "paid", "approval": approval, "amount": order["instructedAmount"]}


class Face(BaseHTTPRequestHandler):
    """HTTP in front of ``Payments``: GET /accounts, POST /payments, and the metadata."""

    payments: Payments
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == urlsplit(str(self.payments.guard.metadata_url)).path:
            return self._answer(200, self.payments.about())
        if self.path != "/accounts":
            return self._answer(404, {"error": "not_found"})
        self._guarded(self.payments.balance)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if self.path != "/payments":
            return self._answer(404, {"error": "not_found"}, _UNREAD)
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > BODY_MAX_BYTES:
            return self._answer(413, {"error": "too_large"}, _UNREAD)
        try:
            order = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            order = None
        if not isinstance(order, dict):
            return self._answer(400, {"error": "invalid_request"})
        self._guarded(lambda request: self.payments.pay(request, order))

    def _guarded(self, act: Callable[[Request], dict[str, Any]]) -> None:
        guard = self.payments.guard
        request = Request(
            method=self.command,
            url=guard.identifier.rstrip("/") + self.path,  # not from the Host header: whoever asks writes that
            authorization=self.headers.get_all("Authorization", []),
            dpop=self.headers.get_all("DPoP", []),
            certificate=None,
        )
        try:
            self._answer(200, act(request))
        except Refused as refused:
            body = {"error": refused.error, "error_description": refused.description}
            self._answer(refused.status, body, guard.headers_of(refused, request))

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
    client = Client(options.issuer, options.identifier, load_or_make(options.key))
    Face.payments = Payments(guard_of(client, options.identifier, options.ledger), options.ledger)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Face)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
