"""Whether a client, or its key, exists can't be told from the work that a refusal takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from joserfc.jwk import ECKey, OKPKey, RSAKey

from aims.authentication import keys, private_key_jwt
from aims.authentication.client import Client
from aims.authentication.errors import InvalidClient
from aims.authentication.private_key_jwt import authenticate
from aims.credentials import services as credentials
from aims.credentials.models import KeySource
from aims.credentials.services import registered
from aims.identifier.services import agents
from aims.kit import clock, jose
from aims.kit.ids import b64url
from tests.support.oauth_client import BY, PAY, Machine, Stage, stage

pytestmark = pytest.mark.django_db
KEYS: dict[str, Callable[[], jose.JoseKey]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "PS256": lambda: RSAKey.generate_key(2048),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}
GHOST = "spiffe://acme.example/ghost"


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


def signed(client_id: str, key: jose.JoseKey, algorithm: str, *, kid: str | None = None) -> str:
    claims = Machine(client_id).claims()
    return jose.sign(claims, key=key, typ="JWT", kid=kid or key.thumbprint(), algorithm=algorithm)


def enter(assertion: str, *, may_recall: bool = False) -> Client:
    return authenticate(assertion, client_id=None, now=clock.now(), may_recall=may_recall)


def work_of(assertion: str, patch: pytest.MonkeyPatch, *, may_recall: bool) -> tuple[list[str], list[str]]:
    """Return the kinds of key that were verified with, and the questions that the database was asked, in no order."""
    kinds: list[str] = []

    def counting(token: jose.Unverified, *, key: jose.JoseKey) -> jose.Decoded:
        kinds.append(key.key_type)
        return jose.verify(token, key=key)

    with patch.context() as spying, CaptureQueriesContext(connection) as asked:
        spying.setattr(keys, "verify", counting)
        with pytest.raises(InvalidClient):
            enter(assertion, may_recall=may_recall)
    return kinds, sorted(re.split(" WHERE | SET ", query["sql"])[0] for query in asked)


@pytest.mark.spec("RFC 6749", "5.2", "an unknown client, an unknown key and a bad signature cost the same work")
@pytest.mark.parametrize("may_recall", [True, False], ids=["recalled", "read"])
@pytest.mark.parametrize("algorithm", KEYS)
def test_refusing_costs_the_same_whoever_is_named(
    on: Stage, monkeypatch: pytest.MonkeyPatch, algorithm: str, may_recall: bool
) -> None:
    right, wrong = KEYS[algorithm](), KEYS[algorithm]()
    public = {"keys": [right.as_dict(private=False)]}
    credentials.register_keys(on.agent.ref, public, by=BY, now=clock.now())
    assert enter(signed(on.courier.client_id, right, algorithm)).agent == on.agent  # remembered from here on
    works = [
        work_of(signed(GHOST, wrong, algorithm), monkeypatch, may_recall=may_recall),
        work_of(signed(on.courier.client_id, wrong, algorithm), monkeypatch, may_recall=may_recall),
        work_of(
            signed(on.courier.client_id, wrong, algorithm, kid=right.thumbprint()), monkeypatch, may_recall=may_recall
        ),
        work_of(signed(PAY, wrong, algorithm), monkeypatch, may_recall=may_recall),
    ]
    assert len(works[0][0]) == 1
    assert works == [works[0]] * len(works)


def test_a_client_that_nobody_remembers_yet_is_refused_by_the_same_work(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = Machine(on.courier.client_id)
    forged = signed(on.courier.client_id, thief.key, "ES256", kid=on.courier.key.thumbprint())
    works = [work_of(each, monkeypatch, may_recall=True) for each in (forged, signed(GHOST, thief.key, "ES256"))]
    assert works[0] == works[1]


def test_a_key_replaced_under_its_own_kid_is_found_though_the_old_one_is_remembered(on: Stage) -> None:
    fresh = ECKey.generate_key("P-256")
    kid = on.courier.key.thumbprint()
    enter(on.courier.assertion())
    jwks = {"keys": [fresh.as_dict(private=False) | {"kid": kid}]}
    credentials.register_keys(on.agent.ref, jwks, by=BY, now=clock.now())
    assert enter(signed(on.courier.client_id, fresh, "ES256", kid=kid), may_recall=True).agent == on.agent
    with pytest.raises(InvalidClient):
        enter(on.courier.assertion())


def test_only_the_right_key_gets_in_and_memory_asks_the_database_nothing(on: Stage) -> None:
    assert not enter(on.courier.assertion(), may_recall=True).is_recalled
    with CaptureQueriesContext(connection) as asked:
        assert enter(on.courier.assertion(), may_recall=True).is_recalled
    assert len(asked) == 0
    with CaptureQueriesContext(connection) as asked:
        assert not enter(on.courier.assertion()).is_recalled
    assert len(asked) == 1  # the agent as it is now; its keys are remembered by its version


def test_nobodys_key_opens_nothing(on: Stage) -> None:
    for algorithm in KEYS:
        decoy = keys._nobodys_key(algorithm)
        for client_id in (GHOST, on.courier.client_id, ""):
            with pytest.raises(InvalidClient):
                enter(signed(client_id or uuid4().hex, decoy, algorithm))


def test_a_suspended_agent_is_told_so_only_after_its_signature(on: Stage) -> None:
    agents.suspend(on.agent, reason="test", by=BY, now=clock.now())
    with pytest.raises(InvalidClient) as told:
        enter(on.courier.assertion())
    assert told.value.reason == "agent_suspended"
    with pytest.raises(InvalidClient) as untold:
        enter(signed(on.courier.client_id, Machine("x").key, "ES256", kid=on.courier.key.thumbprint()))
    assert untold.value.reason == "signature"


def test_only_a_holder_that_publishes_is_fetched_from_and_only_for_an_unknown_key(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Machine(on.courier.client_id)
    KeySource.objects.create(holder_ref=on.agent.ref, jwks_uri="https://keys.example/jwks")
    fetched: list[str] = []

    def answer(holder_ref: str, *, now: Any) -> bool:
        fetched.append(holder_ref)
        return registered.refresh_source(holder_ref, now=now, get=lambda uri: json.dumps(fresh.jwks).encode())

    monkeypatch.setattr(private_key_jwt, "refresh_source", answer)
    enter(on.courier.assertion())
    assert fetched == []
    assert enter(fresh.assertion()).agent == on.agent
    with pytest.raises(InvalidClient):
        enter(signed(GHOST, fresh.key, "ES256"))
    assert fetched == [on.agent.ref, private_key_jwt.NOBODY]
    kid = fresh.key.thumbprint()
    with clock.shifted(timedelta(minutes=2)), pytest.raises(InvalidClient):
        enter(signed(on.courier.client_id, on.courier.key, "ES256", kid=kid))
    assert fetched[2:] == [private_key_jwt.NOBODY]  # a known kid with a bad signature makes us call nobody


def test_an_unsigned_or_symmetric_assertion_reaches_no_key(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _head, body, signature = on.courier.assertion().split(".")
    for algorithm in ("none", "HS256", "RS256", "ES512"):
        head = b64url(json.dumps({"alg": algorithm, "typ": "JWT", "kid": on.courier.key.thumbprint()}).encode())
        assert work_of(f"{head}.{body}.{signature}", monkeypatch, may_recall=True) == ([], [])
