"""What an agent, a thief or a change of mind may throw at the door: the spec's error, and nothing changes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aims.authorization.models import AccessToken, ApprovalRequest
from aims.authorization.request_errors import AlreadyDecided, NotYours, RequestOver
from aims.authorization.services import opening
from aims.authorization.services.agents import resume_agent, suspend_agent
from aims.authorization.statement import parse
from aims.credentials import services as credentials
from aims.identifier import services as identifier
from aims.kit import clock, jose
from aims.kit.errors import AimsError
from aims.people.models import RoleHolding, User
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.test_poll import DENY_ALL
from tests.support.oauth_client import BY, Machine, payment

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("CIBA Core 1.0", "13"),
]


@pytest.fixture
def other(door: Door) -> Machine:
    """Another active agent of Ada's, with a key of its own."""
    machine = Machine("spiffe://acme.example/kestrel")
    agent = identifier.register_agent(
        identifier.RegisterAgent(
            identifier=machine.client_id, name="Kestrel", purpose="Merges", contact="a@b.example", owner=door.stage.ada
        ),
        by=BY,
        now=clock.now(),
    )
    credentials.register_keys(agent.ref, machine.jwks, by=BY, now=clock.now())
    return machine


def test_another_agents_id_is_invalid_grant_and_stays_good(door: Door, other: Machine) -> None:
    auth_req_id = door.asked()
    assert error_of(door.poll(auth_req_id, machine=other)) == (400, "invalid_grant")
    door.approve()
    assert error_of(door.poll(auth_req_id, machine=other)) == (400, "invalid_grant")
    assert door.poll(auth_req_id).status_code == 200


def test_a_request_signed_by_another_agent_is_refused(signing_door: Door, other: Machine) -> None:
    answer = signing_door.ask_signed(signing_door.request_claims(), key=other.key, kid=other.key.thumbprint())
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize("how", ["none", "RS256", "corrupted"])
def test_a_request_with_another_signature_is_refused(signing_door: Door, how: str) -> None:
    claims = signing_door.request_claims()
    head, body, signature = signing_door.courier.assertion(**claims).split(".")
    if how == "corrupted":
        signature = ("A" if signature[0] != "A" else "B") + signature[1:]
    else:
        head = jose_part({"alg": how, "typ": "JWT", "kid": signing_door.courier.key.thumbprint()})
    token = f"{head}.{body}.{'' if how == 'none' else signature}"
    answer = signing_door.courier.post("/oauth/bc-authorize", signing_door.courier.signed({"request": token}))
    assert error_of(answer) == (400, "invalid_request")
    assert not ApprovalRequest.objects.exists()


def jose_part(value: dict[str, Any]) -> str:
    from aims.kit.ids import b64url

    return b64url(json.dumps(value).encode())


@pytest.mark.parametrize("path", ["/oauth/bc-authorize", "/oauth/token"])
@pytest.mark.parametrize("how", ["RS256", "missing", "expired", "future", "too long"])
def test_a_bad_client_assertion_is_invalid_client(door: Door, path: str, how: str) -> None:
    form = door.form() | {"grant_type": CIBA, "auth_req_id": door.asked()}
    now = clock.epoch_s()
    signed = door.courier.signed(form)
    if how == "missing":
        signed = form | {"client_id": door.courier.client_id}
    elif how == "RS256":
        _head, body, signature = door.courier.assertion().split(".")
        head = jose_part({"alg": "RS256", "typ": "JWT", "kid": door.courier.key.thumbprint()})
        signed["client_assertion"] = f"{head}.{body}.{signature}"
    else:
        times: dict[str, dict[str, Any]] = {
            "expired": {"iat": now - 200, "exp": now - 100},
            "future": {"iat": now + 200, "exp": now + 300},
            "too long": {"exp": now + 4000},
        }
        signed["client_assertion"] = door.courier.assertion(**times[how])
    assert error_of(door.courier.post(path, signed)) == (401, "invalid_client")
    assert ApprovalRequest.objects.count() == 1


@pytest.mark.parametrize("expiry", ["1.5", "1e3", "+5", " 5", "05", "9" * 12, "9" * 5000, "", "５"])
def test_an_expiry_that_is_no_positive_whole_number_is_refused(door: Door, expiry: str) -> None:
    answer = door.ask(requested_expiry=expiry)
    if expiry:
        assert error_of(answer) == (400, "invalid_request")
    else:
        assert answer.json()["expires_in"] == 300  # RFC 6749 §3.2: without a value it counts as absent


@pytest.mark.parametrize("expiry", [0, -1, 1.5, True, "0", "-1", 259201, [], {}])
def test_a_signed_expiry_of_another_kind_is_refused(signing_door: Door, expiry: Any) -> None:
    answer = signing_door.ask_signed(signing_door.request_claims(requested_expiry=expiry))
    assert error_of(answer) == (400, "invalid_request")


def test_the_order_of_scopes_does_not_matter(door: Door) -> None:
    for scope in ("openid accounts.read", "accounts.read openid"):
        door.asked(scope=scope, authorization_details=None)


@pytest.mark.parametrize("message", ["緊急 🔥👩‍🚀 承認", "abc\u202egnp.exe", "x" * 1024])
def test_a_hostile_binding_message_is_stored_as_it_is_and_shown_escaped(door: Door, message: str) -> None:
    from aims.kit.visible import escape

    door.asked(binding_message=message)
    assert parse(bytes(door.request().statement)).binding_message == message
    assert "\u202e" not in escape(message)


@pytest.mark.parametrize(
    "form",
    [
        {"binding_message": "x" * 300_000},
        {"authorization_details": json.dumps([{"type": "payment_initiation", "x": "y" * 20_000}])},
        {"authorization_details": json.dumps([json.loads(payment())[0]] * 17)},
        {"authorization_details": "[" * 40 + "]" * 40},
    ],
)
def test_what_is_too_large_or_too_deep_is_refused(door: Door, form: dict[str, Any]) -> None:
    status, code = error_of(door.ask(**form))
    assert status in (400, 413)
    assert code in {"invalid_request", "invalid_authorization_details"}
    assert not ApprovalRequest.objects.exists()


def test_details_named_at_redemption_change_nothing(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id, "authorization_details": payment("1.00"), "scope": "openid"}
    body = door.courier.post("/oauth/token", door.courier.signed(form)).json()
    assert body["authorization_details"] == json.loads(payment())  # exactly what was signed


def test_a_hint_to_nobody_costs_the_same_work_as_one_to_a_stranger(door: Door) -> None:
    User.objects.create(email="cy@acme.example", name="Cy")
    door.ask(login_hint="warm@acme.example")  # keys and policy are in memory from here on
    counts = []
    for hint in ("cy@acme.example", "no@acme.example"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert error_of(door.ask(login_hint=hint)) == (400, "unknown_user_id")
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("constant", "value"),
    [("OPEN_MAX_PAIR", 2), ("OPEN_MAX_AGENT", 2), ("OPEN_MAX_APPROVER", 2), ("NEW_MAX_PAIR_PER_MINUTE", 2)],
)
def test_each_limit_holds_at_its_edge(door: Door, monkeypatch: pytest.MonkeyPatch, constant: str, value: int) -> None:
    monkeypatch.setattr(opening, constant, value)
    door.asked()
    door.asked()
    answer = door.ask()
    assert error_of(answer) == (429, "temporarily_unavailable")
    assert int(answer["Retry-After"]) > 0
    assert ApprovalRequest.objects.count() == value


def test_the_limits_are_those_of_the_contract() -> None:
    limits = (
        opening.OPEN_MAX_PAIR,
        opening.OPEN_MAX_AGENT,
        opening.OPEN_MAX_APPROVER,
        opening.NEW_MAX_PAIR_PER_MINUTE,
    )
    assert limits == (10, 50, 200, 10)


def test_a_yes_after_the_end_is_refused(door: Door) -> None:
    auth_req_id = door.asked()
    response = door.signature()
    with clock.shifted(timedelta(seconds=301)):
        with pytest.raises(RequestOver):
            door.approve(response)
        assert error_of(door.poll(auth_req_id)) == (400, "expired_token")
    assert not AccessToken.objects.exists()


def test_a_yes_after_a_no_is_refused(door: Door) -> None:
    auth_req_id = door.asked()
    door.deny()
    with pytest.raises(AlreadyDecided):
        door.approve()
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")


def test_an_approver_who_lost_the_role_or_was_disabled_decides_nothing(door: Door) -> None:
    auth_req_id = door.asked()
    RoleHolding.objects.filter(person=door.stage.ada).update(until_at=clock.now())
    with pytest.raises(NotYours):
        door.approve()
    RoleHolding.objects.filter(person=door.stage.ada).update(until_at=None)
    User.objects.filter(pk=door.stage.ada.pk).update(is_active=False)
    with pytest.raises(NotYours):
        door.approve()
    assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")


def test_a_suspension_at_every_step_leaves_nothing_to_redeem(door: Door) -> None:
    waiting = door.asked()
    suspend_agent(door.stage.agent, reason="test", by=BY, now=clock.now())
    assert error_of(door.poll(waiting)) == (401, "invalid_client")
    with pytest.raises(AlreadyDecided):
        door.approve()
    resume_agent(door.stage.agent, reason="test", by=BY, now=clock.now())
    assert error_of(door.poll(waiting)) == (400, "access_denied")
    assert not AccessToken.objects.exists()


def test_a_policy_that_vanishes_while_a_request_waits_lets_nobody_approve(door: Door) -> None:
    auth_req_id = door.asked()
    load_policy(DENY_ALL, by=BY, now=clock.now())
    with pytest.raises(AimsError):
        door.approve()
    assert error_of(door.poll(auth_req_id))[1] in {"authorization_pending", "access_denied"}
    assert not AccessToken.objects.exists()


def test_a_statement_edited_behind_our_back_is_not_redeemed(door: Door) -> None:
    auth_req_id = door.asked()
    request = door.request()
    ApprovalRequest.objects.update(statement=bytes(request.statement).replace(b"10.00", b"99.00"))
    with pytest.raises(AimsError):
        door.approve()
    assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")


def test_a_token_names_its_algorithm_and_type(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    token = door.poll(auth_req_id).json()["access_token"]
    assert jose.parse(token, algorithms=frozenset({"ES256"}), typ=("at+jwt",)).claims["approval"]
