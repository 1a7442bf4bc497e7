"""The demo's MCP server on a port of its own, before an issuer that signs for real."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aims.demo.mcp_server import PAY, READ, Face, Invoices
from aims.resource_server import jws, metadata
from aims.resource_server.guard import Guard
from aims.resource_server.memory import InFile
from tests.unit.resource_server.made import ISSUER, Issuer

WITHIN_S = 60
WHOLE = "2026-07-28"


@dataclass
class Standing:
    """A running MCP server and its issuer. active: what introspection answers."""

    port: int
    ledger: Path
    active: dict[str, Any]
    issuer: Issuer

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/mcp"

    def token(self, scope: str = READ, **changed: Any) -> str:
        now = int(time.time())
        claims = {"aud": self.url, "iat": now, "exp": now + 300, "scope": scope}
        return self.issuer.token(None, **(claims | changed))

    def approved(self, approval_id: str = "arq_1", **changed: Any) -> str:
        approval = {"id": approval_id, "approved_until": int(time.time()) + 300}
        return self.token(f"{READ} {PAY}", **({"approval": approval} | changed))

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], Any]:
        """Send exactly these headers; return status, headers and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WITHIN_S)
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), json.loads(raw) if raw else None

    def post(self, body: object, token: str | None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Post a message, with headers by keyword."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", "/mcp", given | sent, raw)

    def call(self, tool: str, token: str | None, **arguments: str) -> tuple[int, dict[str, str], Any]:
        """Call a tool as a client of 2026-07-28 does."""
        message = whole("tools/call", name=tool, arguments=arguments)
        return self.post(message, token, mcp_protocol_version=WHOLE, mcp_method="tools/call", mcp_name=tool)

    def settled(self) -> dict[str, str]:
        book = sqlite3.connect(self.ledger)
        try:
            return {str(row[0]): str(row[1]) for row in book.execute("SELECT number, approval FROM settled")}
        finally:
            book.close()


def whole(method: str, **params: Any) -> dict[str, Any]:
    """Return a request of 2026-07-28, which carries what a handshake said before."""
    meta = {"io.modelcontextprotocol/protocolVersion": WHOLE, "io.modelcontextprotocol/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}


@contextmanager
def standing(folder: Path) -> Iterator[Standing]:
    """Run the server for a block."""

    class Own(Face):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    running = Standing(server.server_port, folder / "ledger.sqlite3", {"active": True}, Issuer())
    guard = Guard(
        issuer=ISSUER, identifier=running.url, keys=running.issuer.lookup, token_algorithms=jws.ALGORITHMS,
        proof_algorithms=jws.ALGORITHMS, memory=InFile(running.ledger), introspect=lambda token: running.active,
        takes_bearer=True, nonces=None, skew_s=10, metadata_url=metadata.well_known_url(running.url), first_scopes=(READ,),
    )  # fmt: skip
    invoices = Invoices(guard, running.ledger)
    Own.invoices, Own.guard, Own.about = invoices, guard, invoices.about()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
