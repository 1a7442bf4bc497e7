"""What stands between the processes: a reverse proxy, a cable to Redis that can be cut, and an agent's ear."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aims.console.middleware import MACHINE_PREFIXES, PAGE_PREFIXES

HEAD_MAX_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024


class Port:
    """A listening port of this machine that hands each connection to a function, in a thread of its own."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._handle(connection)


class Router(Port):
    """The smallest reverse proxy: one request a connection, to the machine port or the pages port by its path."""

    def __init__(self, machine: int, pages: int) -> None:
        self.machine, self.pages = machine, pages
        self.seen: Counter[int] = Counter()  # requests by port
        super().__init__(self._route)

    def _route(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        path = head.split(b" ", 2)[1].decode() if head.count(b" ") > 1 else "/"
        is_machine = path.startswith(MACHINE_PREFIXES) and not path.startswith(PAGE_PREFIXES)
        port = self.machine if is_machine else self.pages
        self.seen[port] += 1
        with socket.create_connection(("127.0.0.1", port)) as backend:
            backend.sendall(_closing(head) + rest)
            _join(client, backend)


class Cable(Port):
    """A way to a server that can be cut and mended: then it looks as if the server had died and come back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._ends: set[socket.socket] = set()
        self._is_cut = False
        super().__init__(self._carry)

    def cut(self) -> None:
        """End every connection, and every new one at once."""
        self._is_cut = True
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Carry again."""
        self._is_cut = False

    def _carry(self, client: socket.socket) -> None:
        if self._is_cut:
            return
        with socket.create_connection(self._target) as server:
            self._ends |= {client, server}
            try:
                _join(client, server)
            finally:
                self._ends -= {client, server}


class Ear(ThreadingHTTPServer):
    """An agent's notification endpoint: it keeps what it was told. Spec: CIBA Core 1.0 §10.2."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []  # (Authorization, body)
        heard = self.heard

        class Face(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append((self.headers["Authorization"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        super().__init__(("127.0.0.1", 0), Face)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://localhost:{self.server_port}/told"


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    read = b""
    while b"\r\n\r\n" not in read and len(read) < HEAD_MAX_BYTES:
        chunk = client.recv(CHUNK_BYTES)
        if not chunk:
            break
        read += chunk
    head, _, rest = read.partition(b"\r\n\r\n")
    return head, rest


def _closing(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    if b"upgrade: websocket" not in head.lower():
        lines = [line for line in lines if not line.lower().startswith(b"connection:")] + [b"Connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _join(one: socket.socket, other: socket.socket) -> None:
    threading.Thread(target=_pipe, args=(one, other), daemon=True).start()
    _pipe(other, one)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
