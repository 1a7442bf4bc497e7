"""What the backchannel endpoint accepts and refuses. Black box over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey

from aims.authorization.models import ApprovalRequest
from aims.authorization.services import opening
from aims.authorization.statement import parse, request_hash
from aims.identifier.services import agents
from aims.kit import clock
from aims.people.models import User
from tests.protocol.ciba.conftest import Door, error_of
from tests.support.oauth_client import payment

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("CIBA Core 1.0", "7"),
]


def test_a_request_opens_and_is_answered_with_an_id(door: Door) -> None:
    body = door.ask().json()
    assert set(body) == {"auth_req_id", "expires_in", "interval"}
    assert (len(body["auth_req_id"]), body["expires_in"], body["interval"]) == (43, 300, 5)


def test_the_statement_is_what_was_asked(door: Door) -> None:
    door.asked(agent_says="Please.", requested_expiry="900")
    request = door.request()
    statement = parse(bytes(request.statement))
    assert request.request_hash == request_hash(bytes(request.statement))
    assert list(statement.authorization_details) == json.loads(payment())
    assert (statement.binding_message, statement.agent_says) == ("1234", "Please.")
    assert statement.exp - statement.iat == 900
    assert request.headline == "Pay 10.00 EUR to Acme"
    assert (statement.sub, statement.reversibility) == (door.stage.ada.ref, "irreversible")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid payments.create"}, "invalid_scope"),
        ({"login_hint": None}, "invalid_request"),
        ({"id_token_hint": "x"}, "invalid_request"),
        ({"login_hint": None, "login_hint_token": "x"}, "invalid_request"),
        ({"user_code": "1"}, "invalid_request"),
        ({"login_hint": None, "id_token_hint": "x.y.z"}, "invalid_request"),
        ({"requested_expiry": "0"}, "invalid_request"),
        ({"requested_expiry": "-1"}, "invalid_request"),
        ({"requested_expiry": "259201"}, "invalid_request"),
        ({"requested_expiry": "ten"}, "invalid_request"),
        ({"binding_message": "x" * 1025}, "invalid_binding_message"),
        ({"binding_message": " "}, "invalid_binding_message"),
        ({"agent_says": "x" * 1025}, "invalid_request"),
        ({"resource": "https://other.example/"}, "invalid_target"),
        ({"authorization_details": "{}"}, "invalid_authorization_details"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"authorization_details": None}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"nothing_here"}]'}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"a","type":"b"}]'}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"payment_initiation","x":1.5}]'}, "invalid_authorization_details"),
        ({"authorization_details": payment("1,0")}, "invalid_authorization_details"),
        ({"authorization_details": payment().replace("EUR", "XYZ")}, "invalid_authorization_details"),
        ({"authorization_details": payment().replace("https://pay", "https://p")}, "invalid_authorization_details"),
        ({"login_hint": "nobody@acme.example"}, "unknown_user_id"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_nothing_opens(door: Door, changed: dict[str, Any], code: str) -> None:
    assert error_of(door.ask(**changed)) == (400, code)
    assert not ApprovalRequest.objects.exists()


@pytest.mark.parametrize("message", ["1234", "緊急 🔥 " * 10, "a\u202eb", "x" * 1024])
def test_any_script_is_a_binding_message(door: Door, message: str) -> None:
    door.asked(binding_message=message)
    assert parse(bytes(door.request().statement)).binding_message == message


def test_a_stranger_and_nobody_get_the_same_answer(door: Door) -> None:
    User.objects.create(email="cy@acme.example", name="Cy")
    stranger, nobody = door.ask(login_hint="cy@acme.example"), door.ask(login_hint="no@acme.example")
    assert (stranger.status_code, stranger.content) == (nobody.status_code, nobody.content)


def test_the_person_is_found_by_reference_too(door: Door) -> None:
    door.asked(login_hint=door.stage.ada.ref)


def test_unknown_parameters_are_ignored(door: Door) -> None:
    door.asked(request_context="{}", acr_values="phr")


def test_a_repeated_parameter_is_refused(door: Door) -> None:
    assert error_of(door.ask(scope=["openid", "openid"])) == (400, "invalid_request")


def test_an_assertion_counts_once(door: Door) -> None:
    form = door.courier.signed(door.form())
    assert door.courier.post("/oauth/bc-authorize", form).status_code == 200
    assert error_of(door.courier.post("/oauth/bc-authorize", form)) == (401, "invalid_client")


def test_a_refused_request_has_spent_its_assertion(door: Door) -> None:
    form = door.courier.signed(door.form(scope="nope"))
    assert error_of(door.courier.post("/oauth/bc-authorize", form)) == (400, "invalid_scope")
    assert error_of(door.courier.post("/oauth/bc-authorize", form)) == (401, "invalid_client")


def test_a_suspended_agent_may_not_ask(door: Door) -> None:
    agents.suspend(door.stage.agent, reason="test", by="cli:test", now=clock.now())
    assert error_of(door.ask()) == (401, "invalid_client")


def test_the_eleventh_open_request_waits(door: Door) -> None:
    for _ in range(opening.OPEN_MAX_PAIR):
        door.asked(requested_expiry="3600")
    answer = door.ask()
    assert error_of(answer) == (429, "temporarily_unavailable")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.spec("CIBA Core 1.0", "7.1.1")
class TestSignedRequests:
    def test_it_opens_once(self, signing_door: Door) -> None:
        claims = signing_door.request_claims()
        assert signing_door.ask_signed(claims).status_code == 200
        assert error_of(signing_door.ask_signed(claims)) == (400, "invalid_request")

    def test_expiry_may_be_a_number_or_a_string(self, signing_door: Door) -> None:
        for value in (30, "30"):
            claims = signing_door.request_claims(requested_expiry=value)
            assert signing_door.ask_signed(claims).json()["expires_in"] == 30

    @pytest.mark.parametrize("missing", ["aud", "iss", "exp", "iat", "nbf", "jti"])
    def test_a_missing_claim_is_refused(self, signing_door: Door, missing: str) -> None:
        claims = signing_door.request_claims()
        del claims[missing]
        assert error_of(signing_door.ask_signed(claims)) == (400, "invalid_request")

    @pytest.mark.parametrize(
        "changed",
        [
            {"aud": "https://other.example"},
            {"iss": "spiffe://acme.example/other"},
            {"exp": -3600},
            {"exp": 4200},
            {"nbf": 600},
            {"nbf": -4200},
            {"iat": 600},
        ],
    )
    def test_a_wrong_claim_is_refused(self, signing_door: Door, changed: dict[str, Any]) -> None:
        moved = {name: clock.epoch_s() + v if isinstance(v, int) else v for name, v in changed.items()}
        assert error_of(signing_door.ask_signed(signing_door.request_claims(**moved))) == (400, "invalid_request")

    def test_another_key_is_refused(self, signing_door: Door) -> None:
        other = ECKey.generate_key("P-256")
        answer = signing_door.ask_signed(signing_door.request_claims(), key=other)
        assert error_of(answer) == (400, "invalid_request")

    def test_a_parameter_outside_is_refused(self, signing_door: Door) -> None:
        answer = signing_door.ask_signed(signing_door.request_claims(), outside={"scope": "openid"})
        assert error_of(answer) == (400, "invalid_request")

    def test_who_registered_to_sign_has_to(self, signing_door: Door) -> None:
        assert error_of(signing_door.ask()) == (400, "invalid_request")

    def test_who_did_not_register_may_not(self, door: Door) -> None:
        assert error_of(door.ask_signed(door.request_claims())) == (400, "invalid_request")


def test_the_lifetime_is_at_most_72_hours(door: Door) -> None:
    assert door.ask(requested_expiry="259200").json()["expires_in"] == 259200
    assert timedelta(seconds=259200) == timedelta(hours=72)
