"""The demo's payments API from the outside, over sockets: whatever is sent, one approval is at most one payment."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aims.demo.reporting import Silence
from aims.demo.resource_server import Face, Payments
from aims.resource_server import jws, memory, metadata
from aims.resource_server.guard import Guard
from aims.resource_server.memory import InFile
from tests.unit.resource_server.made import ISSUER, PAYMENT, Holder, Issuer

WITHIN_S = 60
Sent = Sequence[tuple[str, str]]


@dataclass
class Api:
    """A running payments API, its issuer, and an agent with a key."""

    port: int
    ledger: Path
    active: dict[str, Any]
    issuer: Issuer
    holder: Holder

    @property
    def identifier(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def order(self) -> dict[str, Any]:
        return PAYMENT | {"locations": [self.identifier]}

    def ask(self, method: str, path: str, headers: Sent, body: bytes = b"") -> tuple[int, dict[str, str], Any]:
        """Send exactly these headers; return status, headers and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WITHIN_S)
        connection.putrequest(method, path)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, dict(answer.getheaders()), told

    def pay(self, headers: Sent, order: object = None) -> tuple[int, dict[str, str], Any]:
        return self.ask("POST", "/payments", headers, json.dumps(order or self.order).encode())

    def token(self, **changed: Any) -> str:
        now = int(time.time())
        return self.issuer.token(None, **({"aud": self.identifier, "iat": now, "exp": now + 300} | changed))

    def approved(self, approval_id: str = "arq_1", **changed: Any) -> str:
        approval = {"id": approval_id, "approved_until": int(time.time()) + 300}
        return self.token(
            **{"authorization_details": [self.order], "approval": approval, "cnf": self.holder.cnf} | changed
        )

    def proved(self, token: str, path: str = "payments", **changed: Any) -> Sent:
        htu, now = self.identifier + path, int(time.time())
        return [
            ("Authorization", f"DPoP {token}"),
            ("DPoP", self.holder.proof(token, None, **({"htu": htu, "iat": now} | changed))),
        ]

    def paid(self) -> list[str]:
        book = sqlite3.connect(self.ledger)
        try:
            return [str(row[0]) for row in book.execute("SELECT approval FROM paid")]
        finally:
            book.close()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(memory, "WAIT_MAX_S", WITHIN_S)

    class Own(Face):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    running = Api(server.server_port, tmp_path / "ledger.sqlite3", {"active": True}, Issuer(), Holder())
    checks = Guard(
        issuer=ISSUER, identifier=running.identifier, keys=running.issuer.lookup, token_algorithms=jws.ALGORITHMS,
        proof_algorithms=jws.ALGORITHMS, memory=InFile(running.ledger), introspect=lambda token: running.active,
        takes_bearer=True, nonces=None, skew_s=10, metadata_url=metadata.well_known_url(running.identifier),
    )  # fmt: skip
    payments = Payments(checks, running.ledger, Silence())
    Own.payments, Own.guard, Own.about = payments, checks, payments.about()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield running
    server.shutdown()
    server.server_close()


@pytest.mark.spec("RFC 9728", "3", "who has no token learns where to get one")
def test_who_has_no_token_finds_the_issuer(api: Api) -> None:
    status, headers, _ = api.ask("GET", "/accounts", [])
    assert (status, headers["Cache-Control"]) == (401, "no-store")
    url = headers["WWW-Authenticate"].split('resource_metadata="')[1].split('"')[0]
    assert url == f"{api.identifier}.well-known/oauth-protected-resource"
    _, _, told = api.ask("GET", "/" + url.removeprefix(api.identifier), [])
    assert (told["resource"], told["authorization_servers"]) == (api.identifier, [ISSUER])


def test_a_scope_reads_and_does_not_pay(api: Api) -> None:
    bearer = [("Authorization", f"Bearer {api.token()}")]
    assert api.ask("GET", "/accounts", bearer)[0] == 200
    status, headers, told = api.pay(bearer)
    assert (status, told["error"]) == (401, "insufficient_user_authentication")
    assert headers["WWW-Authenticate"].startswith('Bearer error="insufficient_user_authentication"')
    other = [("Authorization", f"Bearer {api.token(scope='drafts.write')}")]
    status, headers, told = api.ask("GET", "/accounts", other)
    assert (status, told["error"]) == (403, "insufficient_scope") and 'scope="accounts.read"' in headers[
        "WWW-Authenticate"
    ]


@pytest.mark.spec("RFC 9449", "7", "a bound token pays once, with a proof")
def test_an_approval_pays_once_with_its_key(api: Api) -> None:
    token = api.approved()
    assert api.pay(api.proved(token))[2] == {
        "status": "paid",
        "approval": "arq_1",
        "amount": PAYMENT["instructedAmount"],
    }
    status, headers, told = api.pay(api.proved(token))
    assert (status, told["error"]) == (403, "insufficient_scope")
    assert 'DPoP error="insufficient_scope"' in headers["WWW-Authenticate"]
    assert api.paid() == ["arq_1"]


@pytest.mark.spec("RFC 9449", "7.1", "a bound token in any other way pays nothing, and uses nothing up")
def test_a_bound_token_in_any_other_way_pays_nothing(api: Api) -> None:
    token = api.approved()
    authorization, proof = api.proved(token)
    other = api.proved(token)[1]
    wrong: dict[str, tuple[Sent, int, str]] = {
        "as bearer": ([("Authorization", f"Bearer {token}"), proof], 401, "invalid_token"),
        "without a proof": ([authorization], 401, "invalid_dpop_proof"),
        "with two proofs": ([authorization, proof, other], 401, "invalid_dpop_proof"),
        "with two tokens": ([authorization, ("Authorization", f"Bearer {token}"), proof], 400, "invalid_request"),
        "for another path": (api.proved(token, "accounts"), 401, "invalid_dpop_proof"),
        "for another method": (api.proved(token, htm="GET"), 401, "invalid_dpop_proof"),
        "too old": (api.proved(token, iat=int(time.time()) - 100), 401, "invalid_dpop_proof"),
        "for another token": ([authorization, ("DPoP", api.proved(api.approved("arq_2"))[1][1])], 401, "invalid_dpop_proof"),
        "for the host in the header": (
            [("X-Forwarded-Host", "evil.example"), *api.proved(token, htu="https://evil.example/payments")],
            401, "invalid_dpop_proof",
        ),
    }  # fmt: skip
    for why, (sent, status, error) in wrong.items():
        answered, headers, told = api.pay(sent)
        assert (answered, told["error"]) == (status, error), why
        assert "algs=" in headers["WWW-Authenticate"], why
    assert api.paid() == []
    assert api.pay(api.proved(token))[0] == 200


def test_another_payment_and_a_dead_token_pay_nothing(api: Api) -> None:
    token = api.approved()
    more = api.order | {"instructedAmount": {"amount": "9999.00", "currency": "EUR"}}
    assert api.pay(api.proved(token), more)[2]["error"] == "insufficient_scope"
    api.active["active"] = False
    assert api.pay(api.proved(token))[2]["error"] == "invalid_token"
    api.active["active"] = True
    assert api.pay(api.proved(token))[0] == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b"[" * 9000])
def test_what_is_no_order_is_refused_and_the_api_lives_on(api: Api, body: bytes) -> None:
    sent = api.proved(api.approved())
    assert api.ask("POST", "/payments", sent, body)[0] == 400
    assert api.pay(sent)[0] == 200


def test_a_body_of_no_length_is_refused(api: Api) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=WITHIN_S)
    for length in ("-1", "x", "99999999", "9" * 5000):
        connection.request("POST", "/payments", headers={"Content-Length": length})
        answer = connection.getresponse()
        assert answer.status == 413
        answer.read()
    connection.close()


@pytest.mark.spec("AIMS Console formats", "4", "of six payments at once under one approval one is made")
@pytest.mark.parametrize("is_one_request", [True, False])
def test_of_payments_at_once_one_is_made(api: Api, is_one_request: bool) -> None:
    token = api.approved()
    sent = [api.proved(token)] * 6 if is_one_request else [api.proved(token) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(api.pay, sent))
    assert sorted(status for status, _, _ in answers) == [200, *([401 if is_one_request else 403] * 5)]
    assert api.paid() == ["arq_1"]
