"""The proofs of a request that has a plan are checked as for the first one, by each face."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from aims.authorization.models import AccessToken
from aims.kit import clock
from tests.support.dpop import Key
from tests.support.faces import FACES, READ, Face
from tests.support.oauth_client import Machine, Stage
from tests.support.planned import (
    REFUSED,
    Seen,
    asks,
    twin_of,
    warm,
)
from tests.unit.authorization.entries import entries

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.spec(
        "AIMS Console", "authorization", "what is kept of an answer grants nothing that the answer would not"
    ),
]


@pytest.mark.parametrize("face", FACES)
def test_every_proof_is_checked_as_for_the_first_request(planned: Stage, seen: Seen, face: Face) -> None:
    courier, thief, now = planned.courier, Machine(planned.courier.client_id), clock.epoch_s()
    other = twin_of(planned, "other")
    spent = courier.assertion()
    said, signature = courier.assertion().rpartition(".")[0], courier.assertion().rpartition(".")[2]
    bad = [
        f"{said}.{signature}", thief.assertion(), spent, courier.assertion(aud="https://other.example"), courier.assertion(iss=other.client_id),
        courier.assertion(iat=now - 500, exp=now - 400), courier.assertion(iat=now + 400, exp=now + 500),
        courier.assertion(nbf=now + 400), courier.assertion(exp=now + 4000), courier.assertion(jti=""),
        courier.assertion(typ="at+jwt"), other.assertion(sub=courier.client_id, iss=courier.client_id), "a.b",
    ]  # fmt: skip
    assert warm(courier, seen, face)[-1]
    assert asks(courier, face, READ | {"client_assertion": spent}).status == 200
    assert seen.take() == [True]
    issued = AccessToken.objects.count()
    for assertion in bad:
        form = courier.signed(READ | {"client_assertion": assertion})
        here, there = face(urlencode(form).encode(), {}), courier.post("/oauth/token", form)
        assert (here.status, json.loads(here.body)) == (there.status_code, there.json()) == (401, there.json())
        assert here.headers["www-authenticate"] == there.headers["WWW-Authenticate"]
    assert AccessToken.objects.count() == issued
    assert [entry["data"]["reason"] for entry in entries(REFUSED)] == ["replayed"] * 2


@pytest.mark.parametrize("face", FACES)
def test_every_proof_of_a_key_is_checked_too(cold: Stage, seen: Seen, face: Face) -> None:
    key, other, now = Key(), Key(), clock.epoch_s()
    spent = key.proof()
    for proof in (key.proof(), key.proof(), spent, other.proof()):  # a plan says that there is a key, not which
        assert asks(cold.courier, face, dpop=proof).status == 200
    assert seen.take() == [False, False, True, True]
    assert AccessToken.objects.latest("pk").jkt == other.jkt
    for proof in (
        spent, key.proof("/oauth/par"), key.proof(htm="GET"), key.proof(iat=now - 400), key.proof(jti=None), "x.y.z", "",
        f"{key.proof()}, {key.proof()}",
    ):  # fmt: skip
        assert asks(cold.courier, face, dpop=proof).error == (400, "invalid_dpop_proof"), proof
    assert (AccessToken.objects.count(), len(entries(REFUSED))) == (4, 8)


def test_a_proof_that_was_used_makes_no_second_token_by_a_plan(planned: Stage, seen: Seen) -> None:
    body = urlencode(planned.courier.signed(READ)).encode()
    assert sorted(face(body, {}).error for face in FACES * 2) == [(200, "")] + [(401, "invalid_client")] * 3
    assert AccessToken.objects.count() == 4
