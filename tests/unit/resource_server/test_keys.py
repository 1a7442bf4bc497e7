"""keys.py: the issuer is asked when it is worth asking, and no oftener."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from aims.resource_server import keys
from aims.resource_server.errors import Unavailable
from aims.resource_server.keys import IssuerKeys, keys_of

URL = "https://issuer.example/oauth/jwks"
WITHIN_S = 60


def jwk(kid: str | None = "k1", **changed: Any) -> dict[str, Any]:
    made = ECKey.generate_key("P-256").as_dict(private=False) | {"kid": kid, "use": "sig", "alg": "ES256"} | changed
    return {name: value for name, value in made.items() if value is not None}


@dataclass
class Publisher:
    """An issuer's keys, how often they were read, and a clock."""

    listed: list[dict[str, Any]] = field(default_factory=lambda: [jwk()])
    reads: int = 0
    at: float = 5.0
    is_away: bool = False

    def read(self, url: str) -> Mapping[str, Any]:
        assert url == URL
        self.reads += 1
        if self.is_away:
            raise OSError("away")
        return {"keys": self.listed}

    def keys(self) -> IssuerKeys:
        return IssuerKeys(URL, read=self.read, clock=lambda: self.at)


def test_a_known_key_is_read_once_while_it_is_fresh() -> None:
    issuer = Publisher()
    found = issuer.keys()
    assert found("k1") and found("k1")
    issuer.at += keys.FRESH_FOR_S - 1
    assert found("k1") and issuer.reads == 1
    issuer.at += 1
    assert found("k1") and issuer.reads == 2


def test_an_unknown_kid_is_asked_for_once_and_not_again_for_a_while() -> None:
    issuer = Publisher()
    found = issuer.keys()
    assert found("k1")
    issuer.at += keys.ASK_AGAIN_AFTER_S
    for kid in ("k2", "k3", "k4", "k2"):
        assert found(kid) is None
    assert issuer.reads == 2
    issuer.listed.append(jwk("k2"))
    issuer.at += keys.ASK_AGAIN_AFTER_S - 0.1
    assert found("k2") is None and issuer.reads == 2
    issuer.at += 0.1
    assert found("k2") and issuer.reads == 3


def test_a_key_that_was_taken_back_is_gone_once_the_keys_are_read_again() -> None:
    issuer = Publisher(listed=[jwk("k1"), jwk("k2")])
    found = issuer.keys()
    assert found("k2")
    issuer.listed.pop()
    issuer.at += keys.FRESH_FOR_S
    assert found("k1") and found("k2") is None


def test_an_issuer_that_is_away_stops_nobody_for_an_hour_and_everybody_after() -> None:
    issuer = Publisher()
    found = issuer.keys()
    assert found("k1")
    issuer.is_away = True
    issuer.at += keys.STALE_MAX_S - 1
    assert found("k1") and found("k1")
    assert issuer.reads == 2, "a failure is not tried again at once"
    issuer.at += keys.ASK_AGAIN_AFTER_S
    with pytest.raises(Unavailable):
        found("k1")
    issuer.is_away = False
    issuer.at += keys.ASK_AGAIN_AFTER_S
    assert found("k1")


def test_an_issuer_that_never_answered_is_asked_at_most_every_ten_seconds() -> None:
    issuer = Publisher(is_away=True)
    found = issuer.keys()
    for _ in range(5):
        with pytest.raises(Unavailable):
            found("k1")
    assert issuer.reads == 1
    issuer.is_away = False
    issuer.at += keys.ASK_AGAIN_AFTER_S
    assert found("k1")


def test_rubbish_instead_of_keys_leaves_the_old_ones() -> None:
    issuer = Publisher()
    found = issuer.keys()
    assert found("k1")
    issuer.listed = [jwk("k2")] * (keys.KEYS_MAX + 1)
    issuer.at += keys.FRESH_FOR_S
    assert found("k1")


def test_many_threads_that_meet_an_unknown_kid_ask_once() -> None:
    issuer = Publisher()
    found = issuer.keys()
    start = threading.Barrier(8)

    def look(_: int) -> bool:
        start.wait(WITHIN_S)
        return found("k1") is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(8)))
    assert issuer.reads == 1


def test_who_waited_long_for_the_one_who_asked_does_not_ask_again() -> None:
    issuer = Publisher()

    def slow(url: str) -> Mapping[str, Any]:
        time.sleep(0.05)
        issuer.at += keys.ASK_AGAIN_AFTER_S
        return issuer.read(url)

    found, start = IssuerKeys(URL, read=slow, clock=lambda: issuer.at), threading.Barrier(4)

    def look(_: int) -> bool:
        start.wait(WITHIN_S)
        return found("k1") is not None

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, range(4)))
    assert issuer.reads == 1


def test_who_has_an_old_key_does_not_wait_for_who_is_asking() -> None:
    issuer = Publisher()
    asking, answer = threading.Event(), threading.Event()

    def slow(url: str) -> Mapping[str, Any]:
        if issuer.reads:
            asking.set()
            assert answer.wait(WITHIN_S)
        return issuer.read(url)

    found = IssuerKeys(URL, read=slow, clock=lambda: issuer.at)
    assert found("k1")
    issuer.at += keys.FRESH_FOR_S
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(found, "k1")
        try:
            assert asking.wait(WITHIN_S)
            assert found("k1"), "answered while the other one waits"
            assert issuer.reads == 1
        finally:
            answer.set()
        assert refreshing.result(WITHIN_S)
    assert issuer.reads == 2


def test_only_keys_that_verify_are_kept() -> None:
    pair = ECKey.generate_key("P-256")
    listed = [
        jwk("good"), jwk("plain", use=None, alg=None), jwk("ops", use=None, key_ops=["verify"]),
        jwk("enc", use="enc"), jwk("sign", key_ops=["sign"]), jwk("ops-word", key_ops="verify"), jwk(None), jwk(7),  # type: ignore[arg-type]
        pair.as_dict(private=True) | {"kid": "private"}, {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "unknown-kind"}, jwk("twice"), jwk("twice"), jwk("twice-2"),
        jwk("twice-2", use="enc"), "rubbish",
    ]  # fmt: skip
    assert set(keys_of({"keys": listed})) == {"good", "plain", "ops"}


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}, {"keys": [jwk()] * (keys.KEYS_MAX + 1)}])
def test_what_is_no_set_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        keys_of(document)


def test_the_algorithm_that_a_key_names_is_the_only_one_it_verifies() -> None:
    rsa = RSAKey.generate_key(2048).as_dict(private=False) | {"kid": "k"}
    okp = OKPKey.generate_key("Ed25519").as_dict(private=False) | {"kid": "k"}
    assert keys_of({"keys": [rsa]})["k"].algorithms == {"PS256", "RS256"}
    assert keys_of({"keys": [rsa | {"alg": "PS256"}]})["k"].algorithms == {"PS256"}
    assert keys_of({"keys": [rsa | {"alg": "ES256"}]})["k"].algorithms == frozenset()
    assert keys_of({"keys": [okp | {"alg": "EdDSA"}]})["k"].algorithms == {"EdDSA", "Ed25519"}


@pytest.mark.parametrize(
    "url",
    ["http://issuer.example/jwks", "ftp://issuer.example/", "file:///etc/passwd", "", "http://localhost.evil.example/"],
)
def test_keys_are_read_over_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        IssuerKeys(url)


GOOD = json.dumps({"keys": [jwk()]}).encode()


@contextmanager
def served(status: int, body: bytes, headers: Mapping[str, str]) -> Iterator[str]:
    """Serve one answer, and good keys at every other address; give its address."""

    class Face(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_asked = self.path == "/jwks"
            self.send_response(status if is_asked else 200)
            for name, value in headers.items() if is_asked else ():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if is_asked else GOOD)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Face)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/jwks"
    finally:
        server.shutdown()
        server.server_close()


def test_keys_are_read_over_http() -> None:
    with served(200, GOOD, {}) as url:
        assert IssuerKeys(url)("k1")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, GOOD, {}),
        (203, GOOD, {}),
        (302, b"", {"Location": "/elsewhere"}),
        (200, b"[]", {}),
        (200, b"not json", {}),
        (200, GOOD + b" " * keys.MAX_BYTES, {}),
        (200, b"{}", {"Content-Length": "100"}),
        (200, b'{"keys": []}', {"Content-Encoding": "gzip"}),
    ],
)
def test_an_answer_that_is_no_key_set_is_refused(status: int, body: bytes, headers: dict[str, str]) -> None:
    with served(status, body, headers) as url, pytest.raises(Unavailable):
        IssuerKeys(url)("k1")


def test_an_issuer_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        IssuerKeys("http://127.0.0.1:1/jwks")("k1")
