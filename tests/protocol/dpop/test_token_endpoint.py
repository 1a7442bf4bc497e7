"""DPoP at the token endpoint: what is issued is bound to the key that the request proves. Spec: RFC 9449."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings
from joserfc.jwk import ECKey

from aims.authentication.models import SpentProof
from aims.authorization.models import AccessToken, Application
from aims.kit import clock
from audit.models import InboxRow
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_edges import claims_of
from tests.support.dpop import Key
from tests.support.oauth_client import PAY, Machine, Stage, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
READ = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
INVALID = (400, "invalid_dpop_proof")


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


def send(machine: Machine, proof: str | None, **form: Any) -> Any:
    extra = {} if proof is None else {"HTTP_DPOP": proof}
    return machine.post("/oauth/token", machine.signed(READ | form), **extra)


def introspected(on: Stage, token: str) -> dict[str, Any]:
    return dict(on.server.post("/oauth/introspect", on.server.signed({"token": token})).json())


def logged(word: bytes) -> int:
    return sum(word in bytes(row.payload) for row in InboxRow.objects.all())


@pytest.mark.spec("RFC 9449", "5", "the token is bound to the key of the proof, token_type is DPoP")
def test_a_token_is_bound_to_the_key_that_was_proved(on: Stage) -> None:
    key = Key()
    answer = send(on.courier, key.proof())
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "DPoP"
    assert claims_of(answer.json()["access_token"])["cnf"] == {"jkt": key.jkt}
    assert AccessToken.objects.get().jkt == key.jkt


@pytest.mark.spec("RFC 9449", "5", "without a proof the token is a bearer token")
def test_without_a_proof_the_token_is_a_bearer_token(on: Stage) -> None:
    answer = send(on.courier, None)
    assert answer.json()["token_type"] == "Bearer"
    assert "cnf" not in claims_of(answer.json()["access_token"])


@pytest.mark.spec("RFC 9449", "6.2", "introspection tells cnf and token_type")
def test_introspection_tells_the_key(on: Stage) -> None:
    key = Key()
    bound, bearer = send(on.courier, key.proof()).json(), send(on.courier, None).json()
    told = introspected(on, bound["access_token"])
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "DPoP", {"jkt": key.jkt})
    told = introspected(on, bearer["access_token"])
    assert told["token_type"] == "Bearer"
    assert "cnf" not in told


@pytest.mark.spec("RFC 9449", "4.3", "each of the checks refuses")
@pytest.mark.parametrize(
    "wrong",
    [
        {"htm": "GET"},
        {"htm": "post"},
        {"htm": None},
        {"htu": "https://other.example/oauth/token"},
        {"htu": "/oauth/token"},
        {"htu": None},
        {"path": "/oauth/bc-authorize"},
        {"jti": None},
        {"jti": ""},
        {"jti": "j" * 256},
        {"jti": 1},
        {"iat": None},
        {"iat": "now"},
        {"iat": True},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"jwk": None}},
        {"header": {"jwk": ECKey.generate_key("P-256", {"kid": "other"}).as_dict(private=False)}},
        {"header": {"crit": ["kid"], "kid": "k"}},
    ],
    ids=lambda wrong: (
        "-".join(f"{name}={str(value)[:24]}" for name, value in wrong.items() if name != "header")
        or "header-" + "-".join(wrong["header"]) + str(wrong["header"].get("typ", ""))
    ),
)
def test_a_wrong_proof_is_refused_and_nothing_is_issued(on: Stage, wrong: dict[str, Any]) -> None:
    assert error_of(send(on.courier, Key().proof(**wrong))) == INVALID
    assert not AccessToken.objects.exists()


@pytest.mark.spec("RFC 9449", "4.3", "the jwk holds no private key")
def test_a_private_key_in_the_proof_is_refused(on: Stage) -> None:
    key = Key()
    assert error_of(send(on.courier, key.proof(header={"jwk": key.key.as_dict(private=True)}))) == INVALID


@pytest.mark.spec("RFC 9449", "4.3", "exactly one DPoP header, which is one JWT")
@pytest.mark.parametrize("many", ["{0}, {0}", "{0},{1}", "", " ", "x", "a.b.c", "{0}.x"])
def test_other_than_one_proof_is_refused(on: Stage, many: str) -> None:
    assert error_of(send(on.courier, many.format(Key().proof(), Key().proof()))) == INVALID


@pytest.mark.spec("RFC 9449", "11.1", "proofs are good for a short time only")
@pytest.mark.parametrize(("off_s", "is_taken"), [(-58, True), (-63, False), (8, True), (14, False)])
def test_a_proof_is_good_for_a_minute(on: Stage, off_s: int, is_taken: bool) -> None:
    answer = send(on.courier, Key().proof(iat=clock.epoch_s() + off_s))
    assert (answer.status_code == 200) is is_taken
    assert is_taken or error_of(answer) == INVALID


@pytest.mark.spec("RFC 9449", "4.3", "htu is compared without query and fragment, in its normal form")
def test_htu_is_compared_in_its_normal_form(on: Stage) -> None:
    for htu in ("{0}?x=1#y", "{0}".replace("http", "HTTP")):
        proof = Key().proof(htu=htu.format("http://localhost:8000/oauth/token"))
        assert send(on.courier, proof).status_code == 200


@pytest.mark.spec("RFC 9449", "11.1", "a proof counts once")
def test_a_proof_counts_once(on: Stage) -> None:
    proof = Key().proof()
    assert send(on.courier, proof).status_code == 200
    again = send(on.courier, proof)
    assert error_of(again) == INVALID
    assert "before" in again.json()["error_description"]
    assert AccessToken.objects.count() == 1
    assert logged(b'"invalid_dpop_proof"') == 1


@pytest.mark.spec("RFC 9449", "11.1", "a proof counts once")
def test_a_refused_request_has_used_its_proof(on: Stage) -> None:
    proof = Key().proof()
    assert error_of(send(on.courier, proof, scope="nothing.known")) == (400, "invalid_scope")
    assert error_of(send(on.courier, proof)) == INVALID


@pytest.mark.spec("RFC 7523", "3", "a jti counts once")
def test_a_replay_spends_the_assertion_that_came_with_it(on: Stage) -> None:
    proof, form = Key().proof(), on.courier.signed(READ)
    assert send(on.courier, proof).status_code == 200
    assert error_of(on.courier.post("/oauth/token", form, HTTP_DPOP=proof)) == INVALID
    assert error_of(on.courier.post("/oauth/token", form)) == (401, "invalid_client")


@pytest.mark.spec("RFC 9449", "5", "a request without client authentication gets no word about its proof")
def test_who_is_not_authenticated_hears_nothing_of_the_proof(on: Stage) -> None:
    assert error_of(on.courier.post("/oauth/token", READ, HTTP_DPOP="x")) == (401, "invalid_client")


@pytest.mark.spec("RFC 9449", "5.2", "dpop_bound_access_tokens: no proof, no token")
def test_who_registered_to_be_bound_gets_nothing_without_a_proof(door: Door) -> None:
    Application.objects.update(dpop_bound_access_tokens=True)
    for form in (READ, {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": "x"}):
        assert error_of(door.courier.post("/oauth/token", door.courier.signed(form))) == INVALID
    assert error_of(door.ask()) == INVALID
    assert send(door.courier, Key().proof()).status_code == 200


@pytest.mark.spec("RFC 9449", "5.1", "dpop_signing_alg_values_supported")
def test_the_metadata_names_the_algorithms_and_each_is_taken(on: Stage) -> None:
    named = on.courier.http.get("/.well-known/oauth-authorization-server").json()["dpop_signing_alg_values_supported"]
    assert {"ES256", "EdDSA"} <= set(named)
    assert not {"none", "HS256", "RS256"} & set(named)


@pytest.mark.spec("RFC 9449", "8", "use_dpop_nonce, with a nonce, before anything is consumed")
@override_settings(DPOP_NONCE=True)
def test_a_nonce_is_demanded_and_the_same_assertion_may_come_again(on: Stage) -> None:
    key, form = Key(), on.courier.signed(READ)
    first = on.courier.post("/oauth/token", form, HTTP_DPOP=key.proof())
    assert error_of(first) == (400, "use_dpop_nonce")
    assert not SpentProof.objects.exists()
    assert not logged(b"use_dpop_nonce")
    second = on.courier.post("/oauth/token", form, HTTP_DPOP=key.proof(nonce=first["DPoP-Nonce"]))
    assert second.status_code == 200
    assert second["DPoP-Nonce"]  # §8.2
    assert second["Cache-Control"] == "no-store"


@pytest.mark.spec("RFC 9449", "8", "a nonce that is not ours, or old, is none")
@override_settings(DPOP_NONCE=True)
@pytest.mark.parametrize("nonce", ["made-up", "", None, 7])
def test_somebody_elses_nonce_is_none(on: Stage, nonce: Any) -> None:
    answer = send(on.courier, Key().proof(nonce=nonce))
    assert error_of(answer) in ((400, "use_dpop_nonce"), INVALID)
    assert not AccessToken.objects.exists()


@pytest.mark.spec("RFC 9449", "8", "who sends no proof is asked for no nonce")
@override_settings(DPOP_NONCE=True)
def test_who_sends_no_proof_is_asked_for_no_nonce(on: Stage) -> None:
    answer = send(on.courier, None)
    assert answer.status_code == 200
    assert "DPoP-Nonce" not in answer
