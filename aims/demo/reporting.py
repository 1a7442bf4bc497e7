"""How the demo's agents and servers report what they did: signed with their own keys, in the background, contents as hashes.

Spec: docs/formats.md (events); W3C Trace Context for the ids that tie their reports together.
"""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
import sys
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import uuid4

import requests
import rfc8785
from joserfc import jws

from aims.demo.client import Client
from aims.demo.keys import Proving

TIMEOUT_S = 10
CLOSE_WITHIN_S = 5
WAITING_MAX = 1_000
TRACE_HEADER = "traceparent"


@dataclass(frozen=True)
class Trace:
    """Where we are in a trace. parent: the span that called us, None at its beginning."""

    trace_id: str
    span_id: str
    parent: str | None = None

    @property
    def header(self) -> dict[str, str]:
        """Return what a call to the next one carries. Spec: Trace Context §3.2."""
        return {TRACE_HEADER: f"00-{self.trace_id}-{self.span_id}-01"}


def trace_from(header: str | None) -> Trace:
    """Return our own span in the caller's trace; in a new one where none came."""
    parts = (header or "").split("-")
    is_there = len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16
    trace_id, parent = (parts[1], parts[2]) if is_there else (secrets.token_hex(16), None)
    return Trace(trace_id, secrets.token_hex(8), parent)


def hash_of(value: Any) -> str:
    """Return the hash of a value's canonical JSON, as the console spells it. Spec: RFC 8785."""
    return _hash(rfc8785.dumps(value))


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token without checking them: of our own, to name its transaction."""
    part = token.split(".")[1]
    return dict(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))))


class Telling(Protocol):
    """Whom one tells what one did."""

    def tell(self, claims: Mapping[str, Any], kind: str, *, trace: Trace, **event: Any) -> None: ...


class Silence:
    """For who has nobody to tell."""

    def tell(self, claims: Mapping[str, Any], kind: str, *, trace: Trace, **event: Any) -> None:
        """Say nothing."""


class Reporter:
    """One party's reports. client: as whom it signs. is_agent: it shows a token of its own; a server needs none."""

    def __init__(self, client: Client, *, is_agent: bool) -> None:
        # A client of its own, since it speaks from a thread of its own.
        self._client = replace(client, proving=Proving() if is_agent else None)
        self._url = f"{client.issuer}/api/v1/events/"
        self._token, self._until = "", 0.0
        self._waiting: queue.Queue[str | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def tell(self, claims: Mapping[str, Any], kind: str, *, trace: Trace, **event: Any) -> None:
        """Report something that happened under an access token. claims: of that token. Never waits, never fails."""
        if not {"jti", "txn"} <= claims.keys():
            return  # a token of no transaction
        told = {"kind": kind, **trace.header, "token": _hash(str(claims["jti"]).encode()), **event}
        if trace.parent:
            told["parent"] = trace.parent
        now = time.time()
        said = {
            "iss": self._client.client_id,
            "aud": self._url,
            "iat": int(now),
            "toe": now,
            "jti": str(uuid4()),
            "txn": claims["txn"],
            "event": {name: value for name, value in told.items() if value is not None},
        }
        header = {"typ": "aims-event+jwt", "alg": "ES256", "kid": self._client.key.kid}
        signed = jws.serialize_compact(header, json.dumps(said).encode(), self._client.key)
        try:
            self._waiting.put_nowait(signed)
        except queue.Full:
            self._complain("too many wait; one was dropped")

    def close(self) -> None:
        """Send what waits, for a moment."""
        self._waiting.put(None)
        self._thread.join(CLOSE_WITHIN_S)

    def _work(self) -> None:
        while (signed := self._waiting.get()) is not None:
            try:
                self._send(signed)
            except (requests.RequestException, ValueError) as error:
                self._complain(type(error).__name__)  # the work goes on; the log will show the gap

    def _send(self, signed: str) -> None:
        headers = {"Content-Type": "application/jwt"} | self._shown()
        answer = requests.post(self._url, data=signed, headers=headers, timeout=TIMEOUT_S)
        if answer.status_code != 200:
            self._complain(answer.text)

    def _shown(self) -> dict[str, str]:
        """Return the headers of our own access token for the console's API; none for a server."""
        if self._client.proving is None:
            return {}
        if time.time() >= self._until:
            form = {
                "grant_type": "client_credentials",
                "resource": f"{self._client.issuer}/api/v1/",
                "scope": "report.events",
            }
            body = self._client.call("token_endpoint", form).body
            if "access_token" not in body:
                raise ValueError(f"no token for reports: {body.get('error')}")
            self._token, self._until = str(body["access_token"]), time.time() + int(body["expires_in"]) / 2
        return self._client.proving.shown("POST", self._url, self._token)

    def _complain(self, why: str) -> None:
        print(f"{self._client.client_id}: a report was not taken: {why}", file=sys.stderr, flush=True)


def _hash(raw: bytes) -> str:
    return "sha-256:" + urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
