"""The fetcher: where it does not go."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aims.kit import fetch
from aims.kit.fetch import FetchRefused, request


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            return self._trickle()
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://127.0.0.1/")
        self.end_headers()
        self.wfile.write(b"x" * 100)

    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"x" * 1_000_000)

    def _trickle(self) -> None:
        """Send a byte now and then, of headers or of a body."""
        said = b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if self.path == "/slow-body" else b"X-Long: ")
        with contextlib.suppress(OSError):
            self.wfile.write(said)
            for _ in range(600):
                self.wfile.write(b"x")
                time.sleep(0.1)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def go(url: str, *addresses: str, max_bytes: int = 1000) -> Any:
    return request("GET", url, body=None, headers={}, max_bytes=max_bytes, resolver=lambda host, port: addresses)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fc00::1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_even_among_public_ones(address: str) -> None:
    with pytest.raises(FetchRefused) as refused:
        go("https://keys.example/", "93.184.215.14", address)
    assert refused.value.code == "private_address"


@pytest.mark.parametrize(
    "url", ["http://a.example/", "file:///etc/passwd", "https://u@a.example/", "https://a.example/#x"]
)
def test_an_address_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused):
        go(url, "93.184.215.14")


def test_an_allowed_host_is_reached_at_the_pinned_address_and_not_followed(port: int, settings: Any) -> None:
    settings.FETCH_ALLOW = [f"keys.example:{port}"]
    assert go(f"http://keys.example:{port}/", "127.0.0.1").body == b"x" * 100
    assert go(f"http://keys.example:{port}/away", "127.0.0.1").status == 302
    with pytest.raises(FetchRefused, match="larger"):
        go(f"http://keys.example:{port}/", "127.0.0.1", max_bytes=99)


@pytest.mark.parametrize("path", ["/slow-headers", "/slow-body"])
def test_an_answer_that_trickles_in_ends_at_the_deadline(
    port: int, settings: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    settings.FETCH_ALLOW = [f"keys.example:{port}"]
    monkeypatch.setattr(fetch, "TOTAL_S", 1.0)
    began = time.monotonic()
    with pytest.raises(FetchRefused) as refused:
        go(f"http://keys.example:{port}{path}", "127.0.0.1")
    assert refused.value.code == "too_slow"
    assert time.monotonic() - began < 30, "it would have taken a minute"


def test_the_answer_to_a_post_is_its_status_whatever_follows(port: int, settings: Any) -> None:
    settings.FETCH_ALLOW = [f"localhost:{port}"]
    assert fetch.post(f"http://localhost:{port}/told", body=b"{}", headers={}) == 401
