"""Pushed authorization requests, over HTTP. Spec: RFC 9126."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from aims.authorization.models import PushedRequest
from aims.authorization.services import pushing
from aims.identifier.models import Resource
from aims.kit import clock
from aims.kit.ids import digest
from aims.people.models import User
from tests.support.cast import Acting
from tests.support.desk import BACK, PAY, Desk, desk, payment
from tests.support.dpop import Key
from tests.support.log import written_once
from tests.support.oauth_client import MEDIA_TYPE, Machine
from tests.unit.approvals.stage import entries

pytestmark = pytest.mark.django_db
__all__ = ["written_once"]


@pytest.fixture
def at(courier: Acting, ada: User) -> Desk:
    return desk(courier, ada)


@pytest.mark.spec("RFC 9126", "2.2", "201 with a request_uri that can't be guessed and its life of 5 to 600 s")
def test_a_request_is_kept_under_a_reference_that_only_its_client_learns(at: Desk) -> None:
    answer = at.pushes()
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"request_uri", "expires_in"}
    assert 60 <= body["expires_in"] < 600
    reference = body["request_uri"].removeprefix("urn:ietf:params:oauth:request_uri:")
    assert len(reference) == 43
    row = PushedRequest.objects.get()
    assert row.reference_hash == digest(reference)
    assert reference not in str(vars(row))
    assert entries("authorization.push.accepted")[0]["data"]["pushed"] == row.ref


@pytest.mark.spec("RFC 9126", "2.1", "the client authenticates as at the token endpoint")
def test_nobody_pushes_without_a_proof_of_who_they_are(at: Desk) -> None:
    answer = at.courier.machine.post("/oauth/par", at.form())
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert not PushedRequest.objects.exists()


@pytest.mark.spec("RFC 9126", "2.1", "client_id is the client's own")
def test_nobody_pushes_for_somebody_else(at: Desk) -> None:
    assert at.pushes(client_id="spiffe://acme.example/agent/magpie").status_code == 401
    assert at.pushes(client_id=None).status_code == 201


@pytest.mark.spec("RFC 9126", "2.1", "an assertion that was used before pushes nothing")
def test_an_assertion_pushes_once(at: Desk) -> None:
    form = at.courier.machine.signed(at.form())
    assert [at.courier.machine.post("/oauth/par", form).status_code for _ in range(2)] == [201, 401]
    assert PushedRequest.objects.count() == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"request_uri": "urn:x"}, "invalid_request"),
    ({"redirect_uri": None}, "invalid_request"),
    ({"redirect_uri": BACK + "/"}, "invalid_request"),
    ({"redirect_uri": BACK + "?x=1"}, "invalid_request"),
    ({"redirect_uri": "https://client.example.evil.example/back"}, "invalid_request"),
    ({"response_type": None}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"request": "e30.e30."}, "request_not_supported"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "no.such.action"}, "invalid_scope"),
    ({"scope": 'accounts.read "'}, "invalid_scope"),
    ({"resource": None}, "invalid_target"),
    ({"resource": "https://elsewhere.example/"}, "invalid_target"),
    ({"resource": [PAY, "https://elsewhere.example/"]}, "invalid_target"),
    ({"resource": None, "scope": "accounts.read openid"}, "invalid_target"),
    ({"authorization_details": "{"}, "invalid_authorization_details"),
    ({"authorization_details": '[{"type":"unheard_of"}]'}, "invalid_authorization_details"),
    ({"authorization_details": payment().replace("EUR", "ZZZ")}, "invalid_authorization_details"),
    ({"state": "s" * 1025}, "invalid_request"),
    ({"nonce": "n" * 256}, "invalid_request"),
    ({"dpop_jkt": "short"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "1e3"}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "create"}, "invalid_request"),
    ({"state": ["a", "b"]}, "invalid_request"),
    ({"redirect_uri": [BACK, BACK]}, "invalid_request"),
]


@pytest.mark.spec("RFC 9126", "2.3", "every rule of an authorization request is checked when it is pushed")
def test_what_no_person_could_be_asked_is_refused_at_once(at: Desk) -> None:
    for changed, code in WRONG:
        answer = at.pushes(**changed)
        assert (changed, answer.status_code, answer.json()["error"]) == (changed, 400, code)
    assert not PushedRequest.objects.exists()
    assert {entry["data"]["endpoint"] for entry in entries("authorization.token.refused")} == {"par"}


@pytest.mark.spec("RFC 9126", "2.3", "405 but for POST, 413 where it is too big, 429 where too many stand open")
def test_the_answers_by_status_are_those_of_the_specification(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = at.courier.machine
    assert machine.http.get("/oauth/par").status_code == 405
    assert machine.http.post("/oauth/par", "a=" + "b" * 262_144, content_type=MEDIA_TYPE).status_code == 413
    in_query = machine.http.post(
        "/oauth/par?" + urlencode({"scope": "x"}), urlencode(machine.signed(at.form())), content_type=MEDIA_TYPE
    )
    assert in_query.status_code == 400
    monkeypatch.setattr(pushing, "OPEN_MAX", 1)
    at.pushed()
    answer = at.pushes()
    assert answer.status_code == 429
    assert answer.json()["error"] == "temporarily_unavailable"
    assert int(answer["Retry-After"]) > 0


@pytest.mark.spec("RFC 6749", "4.1.2.1", "unauthorized_client: this client has no codes")
def test_an_agent_without_a_redirect_uri_has_no_codes(courier: Acting, ada: User) -> None:
    machine = courier.machine
    answer = machine.post("/oauth/par", machine.signed({"redirect_uri": BACK, "response_type": "code"}))
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


@pytest.mark.spec("RFC 9449", "10.1", "the key may be named in the body, proved in the header, or both alike")
def test_a_key_is_bound_from_the_push_on(at: Desk) -> None:
    key = Key()
    for changed in ({"dpop_jkt": key.jkt}, {"dpop": key.proof("/oauth/par")}):
        at.pushed(**changed)
    at.pushed(dpop=key.proof("/oauth/par"), dpop_jkt=key.jkt)
    assert set(PushedRequest.objects.values_list("jkt", flat=True)) == {key.jkt}


@pytest.mark.spec("RFC 9449", "10.1", "a named key that is not the proved one is refused, and so is a wrong proof")
def test_two_keys_are_one_too_many(at: Desk) -> None:
    key, other = Key(), Key()
    disagreeing = at.pushes(dpop=key.proof("/oauth/par"), dpop_jkt=other.jkt)
    elsewhere = at.pushes(dpop=key.proof("/oauth/token"))
    assert [answer.json()["error"] for answer in (disagreeing, elsewhere)] == ["invalid_dpop_proof"] * 2
    proof = key.proof("/oauth/par")
    assert [at.pushes(dpop=proof).status_code for _ in range(2)] == [201, 400]
    assert PushedRequest.objects.count() == 1


@pytest.mark.spec("RFC 9126", "4", "a reference counts for its own client, until it expires")
def test_a_reference_is_good_for_its_client_and_its_time_only(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = at.pushed()
    query = urlencode({"client_id": "spiffe://acme.example/agent/ghost", "request_uri": reference})
    assert at.ada.http.get(f"/oauth/authorize?{query}").status_code == 400
    assert at.opens(reference + "x").status_code == 400
    later = clock.now() + timedelta(seconds=pushing.LIFETIME_S + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert at.opens(reference).status_code == 400
    assert at.answers(reference).status_code == 400
    assert pushing.drop_due(now=later) == 1
    assert not PushedRequest.objects.exists()


def test_what_is_asked_of_nobody_yet_names_no_resource_in_the_log_that_is_not_registered(at: Desk) -> None:
    at.pushes(resource="https://secret.example/?token=1")
    assert entries("authorization.token.refused")[-1]["resource"] is None
    assert Resource.objects.count() == 1


def test_a_stranger_and_a_suspended_agent_push_nothing(at: Desk, magpie: Acting, ghost: Machine) -> None:
    for machine in (magpie.machine, ghost):
        answer = machine.post("/oauth/par", machine.signed(at.form(client_id=machine.client_id)))
        assert answer.status_code == 401
    assert not PushedRequest.objects.exists()
