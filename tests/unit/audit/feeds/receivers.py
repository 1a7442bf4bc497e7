"""Servers that take what a feed sends: one of HTTP, one of syslog."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """Takes what is posted; answers with the statuses that were laid out, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.script: list[tuple[int, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/in"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.bodies for line in body.splitlines()]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = self.server.script.pop(0) if self.server.script else (200, {})
        if status == 0:  # takes it, and is gone before it answers
            self.server.bodies.append(body)
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if status < 300:
            self.server.bodies.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Collector(socketserver.ThreadingTCPServer):
    """Reads what is sent to its end, then closes; or resets in the middle."""

    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.context = context
        self.received: list[bytes] = []
        self.is_rude = False

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Stream(socketserver.BaseRequestHandler):
    server: Collector

    def handle(self) -> None:
        connection = self.request
        if self.server.context:
            with contextlib.suppress(OSError):
                connection = self.server.context.wrap_socket(connection, server_side=True)
        got = b""
        with contextlib.suppress(OSError):
            while raw := connection.recv(65536):
                got += raw
                if self.server.is_rude:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    connection.close()  # a reset: what was read counts for nothing
                    return
            self.server.received.append(got)
            if isinstance(connection, ssl.SSLSocket):
                connection.unwrap()


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
