"""What the demo's servers share: the guard of ``aims.resource_server``, and an HTTP face that asks it and writes its no."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aims.demo.client import Client
from aims.resource_server import jws, metadata, txn_token
from aims.resource_server.errors import Refused
from aims.resource_server.guard import Call, Guard, Request
from aims.resource_server.keys import IssuerKeys
from aims.resource_server.memory import InFile
from aims.resource_server.txn_token import Transaction

BODY_MAX_BYTES = 16 * 1024
CLOCK_SKEW_S = 10
UNREAD = {"Connection": "close"}  # or the body that was not read would be taken for the next request


def guard_of(client: Client, *, ledger: Path, takes_bearer: bool = False, first_scopes: Sequence[str] = ()) -> Guard:
    """Return an API's checks. client: the API itself, which introspects. ledger: where used approvals stand."""

    def introspect(token: str) -> Mapping[str, Any]:
        return client.call("introspection_endpoint", {"token": token}).body

    return Guard(
        issuer=client.issuer,
        identifier=client.client_id,
        keys=IssuerKeys(client.metadata["jwks_uri"]),
        token_algorithms=frozenset({"ES256"}),
        proof_algorithms=jws.ALGORITHMS,
        memory=InFile(ledger),
        introspect=introspect,
        takes_bearer=takes_bearer,
        nonces=None,
        skew_s=CLOCK_SKEW_S,
        metadata_url=metadata.well_known_url(client.client_id),
        first_scopes=first_scopes,
    )


def about_of(
    guard: Guard, name: str, *, scopes: Sequence[str] = (), detail_types: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what an API says of itself: no more than its guard checks. Spec: RFC 9728 §2."""
    return metadata.document(
        identifier=guard.identifier,
        authorization_servers=[guard.issuer],
        takes_bearer=guard.takes_bearer,
        proof_algorithms=guard.proof_algorithms,
        name=name,
        scopes=scopes,
        detail_types=detail_types,
    )


class OtherTransaction(Refused):
    """The access token and the transaction token of a call belong to two calls, or speak for two subjects."""

    status = 403
    error = "insufficient_scope"
    code = "other_transaction"
    description = "The transaction token belongs to another call."


def transaction_of(call: Call, values: Sequence[str], *, guard: Guard, trust_domain: str) -> Transaction:
    """Return the transaction that a call belongs to. values: of every header ``Txn-Token``. Raises Refused."""
    found = txn_token.check(
        values,
        trust_domain=trust_domain,
        issuer=guard.issuer,
        keys=guard.keys,
        algorithms=guard.token_algorithms,
        skew_s=guard.skew_s,
        now=time.time(),
    )
    if (found.txn, found.subject) != (call.claims.get("txn"), call.subject):
        raise OtherTransaction
    return found


def serve(face: type[GuardedFace], port: int) -> None:
    """Serve on loopback until Ctrl-C."""
    server = ThreadingHTTPServer(("127.0.0.1", port), face)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


class GuardedFace(BaseHTTPRequestHandler):
    """One request for a guarded API. ``guard``, ``about``: of the API, and what it says of itself (RFC 9728 §2)."""

    guard: Guard
    about: Mapping[str, Any]
    protocol_version = "HTTP/1.1"

    def is_about(self) -> bool:
        """Answer a request for the protected resource metadata; return whether it was one."""
        if self.path != urlsplit(str(self.guard.metadata_url)).path:
            return False
        self.answer(200, self.about)
        return True

    def request_here(self) -> Request:
        """Return the request as the guard wants it."""
        origin = urlsplit(self.guard.identifier)
        return Request(
            method=self.command,
            url=f"{origin.scheme}://{origin.netloc}{self.path}",  # not from the Host header: whoever asks writes that
            authorization=self.headers.get_all("Authorization", []),
            dpop=self.headers.get_all("DPoP", []),
            certificate=None,
        )

    def body(self) -> bytes | None:
        """Return the body; None after an answer of 413 to one that is too large or of no length."""
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > BODY_MAX_BYTES:
            self.answer(413, {"error": "too_large"}, UNREAD)
            return None
        return self.rfile.read(int(length))

    def json_object(self) -> dict[str, Any] | None:
        """Return the JSON object in the body; None after an answer that says why there is none."""
        raw = self.body()
        if raw is None:
            return None
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.answer(400, {"error": "invalid_request"})
            return None
        return found

    def guarded(self, act: Callable[[Request], Mapping[str, Any]]) -> None:
        """Answer with what ``act`` returns, or with why the guard says no."""
        request = self.request_here()
        try:
            self.answer(200, act(request))
        except Refused as refused:
            body = {"error": refused.error, "error_description": refused.description}
            self.answer(refused.status, body, self.guard.headers_of(refused, request))

    def answer(self, status: int, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None) -> None:
        """Send an answer. body: as JSON; None for none."""
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: request lines are for the audit log, not the terminal."""
