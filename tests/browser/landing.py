"""Where an agent waits on its own machine for the answer that a browser brings. Spec: RFC 8252 §7.3."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATH = "/callback"


@dataclass
class Landing:
    """A small web server on loopback. brought: the queries with which a browser came."""

    uri: str = ""
    brought: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def landing() -> Iterator[Landing]:
    """Listen for a block."""
    here = Landing()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == PATH:
                here.brought.append({name: values[0] for name, values in parse_qs(parts.query).items()})
            self.send_response(200 if parts.path == PATH else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<!doctype html><link rel=icon href=data:,><title>Courier</title><h1>Thank you.</h1>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here.uri = f"http://127.0.0.1:{server.server_port}{PATH}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield here
        finally:
            server.shutdown()
