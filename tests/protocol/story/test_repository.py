"""The end of the demo's chain from the outside: a repository that asks the issuer about every call, and takes no answer twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aims.demo.foreman import CHANGE
from aims.demo.reporting import Silence
from aims.demo.repository import Face, Repository, actors
from aims.resource_server import jws, metadata
from aims.resource_server.guard import Guard
from aims.resource_server.memory import InFile
from tests.unit.resource_server.made import ISSUER, Holder, Issuer

DOMAIN = "acme.example"
ACT = {"sub": "spiffe://acme.example/agent/keeper", "act": {"sub": "spiffe://acme.example/agent/mason"}}


@dataclass
class Place:
    """A running repository, its issuer, and Keeper's key. answers: of introspection, in turn; the last one stays."""

    port: int
    answers: list[dict[str, Any]]
    issuer: Issuer
    holder: Holder

    @property
    def identifier(self) -> str:
        return f"http://localhost:{self.port}/"

    def token(self, **changed: Any) -> str:
        now = int(time.time())
        claims = {
            "aud": self.identifier, "iat": now, "exp": now + 300, "scope": None, "act": ACT, "txn": "txn_1",
            "authorization_details": [CHANGE], "cnf": self.holder.cnf,
        }  # fmt: skip
        return self.issuer.token(None, **(claims | changed))

    def transaction(self, **changed: Any) -> str:
        now = int(time.time())
        claims = {
            "aud": DOMAIN, "iat": now, "exp": now + 300, "txn": "txn_1", "scope": "changes.build", "client_id": None,
            "req_wl": "spiffe://acme.example/agent/mason", "tctx": {"branch": CHANGE["branch"]},
        }  # fmt: skip
        return self.issuer.token({"typ": "txntoken+jwt"}, **(claims | changed))

    def merge(
        self, token: str, change: object = CHANGE, *transactions: str, scheme: str = "DPoP", is_alone: bool = False
    ) -> tuple[int, Any]:
        """Call with a token. transactions: in headers of their own, rightly one where none is given."""
        url = self.identifier + "changes"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest("POST", "/changes")
        body = json.dumps(change).encode()
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Authorization", f"{scheme} {token}")
        connection.putheader("DPoP", self.holder.proof(token, None, htu=url, iat=int(time.time())))
        for each in () if is_alone else transactions or (self.transaction(),):
            connection.putheader("Txn-Token", each)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, told

    def introspect(self, token: str) -> dict[str, Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    class Own(Face):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    running = Place(server.server_port, [{"active": True}], Issuer(), Holder())
    guard = Guard(
        issuer=ISSUER, identifier=running.identifier, keys=running.issuer.lookup, token_algorithms=jws.ALGORITHMS,
        proof_algorithms=jws.ALGORITHMS, memory=InFile(tmp_path / "used.sqlite3"), introspect=running.introspect,
        takes_bearer=False, nonces=None, skew_s=10, metadata_url=metadata.well_known_url(running.identifier),
    )  # fmt: skip
    repository = Repository(guard, tmp_path / "merged.sqlite3", DOMAIN, Silence())
    Own.repository, Own.guard, Own.about = repository, guard, repository.about()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield running
    server.shutdown()
    server.server_close()


@pytest.mark.spec("RFC 8693", "4.1", "the outermost actor acts, the others are history")
def test_it_merges_and_says_for_whom_through_whom(place: Place) -> None:
    status, told = place.merge(place.token())
    assert (status, told["status"], told["for"], told["txn"]) == (200, "merged", "psn_ada", "txn_1")
    assert told["by"] == [ACT["sub"], "spiffe://acme.example/agent/mason"]
    assert place.merge(place.token())[0] == 200


@pytest.mark.spec("RFC 7662", "2.2", "a token that was taken back between two calls is refused at the second")
def test_what_was_taken_back_is_refused_at_the_next_call(place: Place) -> None:
    place.answers[:] = [{"active": True}, {"active": False}]
    token = place.token()
    assert place.merge(token)[0] == 200
    assert (place.merge(token)[0], place.merge(token)[1]["error"]) == (401, "invalid_token")


def test_a_token_for_something_else_merges_nothing(place: Place) -> None:
    other = CHANGE | {"branch": "release"}
    assert place.merge(place.token(), other)[0] == 403
    assert place.merge(place.token(authorization_details=[other]))[0] == 403
    assert place.merge(place.token(authorization_details=None, scope="repository.merge"))[0] == 403
    assert place.merge(place.token(aud="http://localhost:1/"))[0] == 401
    assert place.merge(place.token(cnf=None), scheme="Bearer")[0] == 401
    assert place.merge(place.token(), [CHANGE])[0] == 400


@pytest.mark.spec(
    "draft-ietf-oauth-transaction-tokens", "Txn-Token HTTP Header", "one token, of this call, for this trust domain"
)
def test_the_transaction_must_be_that_of_the_call(place: Place) -> None:
    token, right = place.token(), place.transaction()
    assert place.merge(token, CHANGE, right)[0] == 200
    assert place.merge(token, is_alone=True)[0] == 400
    assert place.merge(token, CHANGE, right, right)[0] == 400
    wrong: list[dict[str, Any]] = [
        {"txn": "txn_2"}, {"sub": "psn_ben"}, {"tctx": {"branch": "release"}}, {"tctx": None}, {"aud": "evil.example"},
        {"aud": place.identifier}, {"iss": "https://evil.example"}, {"exp": 1},
    ]  # fmt: skip
    for changed in wrong:
        assert place.merge(token, CHANGE, place.transaction(**changed))[0] in (401, 403), changed
    assert place.merge(token, CHANGE, token)[0] == 401  # an access token is none


@pytest.mark.spec("draft-ietf-oauth-transaction-tokens", "Txn-Token", "a transaction token lets nobody in")
def test_a_transaction_token_is_no_access_token(place: Place) -> None:
    assert place.merge(place.transaction(), CHANGE)[0] == 401
    assert place.merge(place.transaction(aud=place.identifier), CHANGE)[0] == 401


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (None, ["me"]),
        ("a", ["me"]),
        ({"iss": "a"}, ["me"]),
        ({"sub": "a", "act": {"sub": "b", "act": {"sub": "c"}}}, ["a", "b", "c"]),
        ({"sub": "a", "act": {"sub": 7}}, ["a"]),
    ],
)
def test_who_acts_is_read_from_the_outside_in(act: object, named: Sequence[str]) -> None:
    assert actors({"client_id": "me", "act": act}) == list(named)
