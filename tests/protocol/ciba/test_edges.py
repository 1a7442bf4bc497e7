"""Edges of the backchannel and token endpoints that conformance suites press on. Black box over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from aims.authorization.endpoints.metadata import metadata
from aims.authorization.models import AccessToken, Application, ApprovalRequest
from aims.kit import jose
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.test_poll import DENY_ALL
from tests.support.oauth_client import BY, MEDIA_TYPE, PAY, Machine, payment
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
CORE = "CIBA Core 1.0"
BOTH = ["/oauth/bc-authorize", "/oauth/token"]


def registered(door: Door, **changed: Any) -> None:
    Application.objects.filter(agent=door.stage.agent).update(**changed)


def form_for(door: Door, path: str) -> dict[str, Any]:
    if path == "/oauth/bc-authorize":
        return door.form()
    return {"grant_type": CIBA, "auth_req_id": door.asked()}


def claims_of(token: str) -> dict[str, Any]:
    return dict(jose.parse(token, algorithms=frozenset({"ES256"}), typ=("at+jwt", "jwt")).claims)


@pytest.mark.spec(CORE, "4", "the metadata names the endpoint, its modes, its algorithms and the grant type")
def test_metadata_says_what_the_backchannel_does(door: Door) -> None:
    metadata.forget()
    body = door.courier.http.get("/.well-known/openid-configuration").json()
    assert body["backchannel_authentication_endpoint"] == f"{settings.ISSUER}/oauth/bc-authorize"
    assert body["backchannel_token_delivery_modes_supported"] == ["poll", "ping"]
    assert body["backchannel_user_code_parameter_supported"] is False
    assert CIBA in body["grant_types_supported"]
    assert {"ES256", "PS256"} <= set(body["backchannel_authentication_request_signing_alg_values_supported"])
    assert "private_key_jwt" in body["token_endpoint_auth_methods_supported"]
    assert not [name for name in body["token_endpoint_auth_methods_supported"] if "secret" in name]
    assert body["id_token_signing_alg_values_supported"] == ["ES256"]
    assert body["jwks_uri"].startswith(body["issuer"])


@pytest.mark.spec(
    CORE, "4", "every algorithm that the metadata names for signed requests is accepted from who registers it"
)
def test_each_algorithm_named_for_requests_can_be_used(door: Door) -> None:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    from aims.credentials import services as credentials
    from aims.kit import clock

    metadata.forget()
    body = door.courier.http.get("/.well-known/openid-configuration").json()
    keys: dict[str, jose.JoseKey] = {
        "ES256": door.courier.key,
        "ES384": ECKey.generate_key("P-384"),
        "PS256": RSAKey.generate_key(2048),
        "EdDSA": OKPKey.generate_key("Ed25519"),
    }
    jwks = {"keys": [key.as_dict(private=False) for key in keys.values()]}
    credentials.register_keys(door.stage.agent.ref, jwks, by=BY, now=clock.now())
    for algorithm in body["backchannel_authentication_request_signing_alg_values_supported"]:
        key = keys["EdDSA" if algorithm == "Ed25519" else algorithm]
        registered(door, backchannel_authentication_request_signing_alg=algorithm)
        answer = door.ask_signed(door.request_claims(), key=key, kid=key.thumbprint(), algorithm=algorithm)
        assert answer.status_code == 200, (algorithm, answer.content)


@pytest.mark.spec(
    CORE, "13", "error_description has no quotation mark, backslash or control character, whatever was sent"
)
@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\r\nb", "ü", "\u202e", "<script>"])
def test_an_error_never_echoes_what_it_may_not_hold(door: Door, name: str) -> None:
    pairs = [*door.courier.signed(door.form()).items(), (name, "1"), (name, "2")]
    answer = door.courier.post("/oauth/bc-authorize", pairs)
    assert error_of(answer) == (400, "invalid_request")
    text = answer.json()["error_description"]
    assert all(0x20 <= ord(letter) <= 0x7E and letter not in '"\\' for letter in text)


@pytest.mark.spec(CORE, "7.1", "the request is a form, sent by POST, with nothing in the address")
def test_what_is_no_form_is_refused(door: Door) -> None:
    http = door.courier.http
    path = "/oauth/bc-authorize"
    get = http.get(path)
    assert (error_of(get), get["Allow"]) == ((405, "invalid_request"), "POST")
    assert error_of(http.post(path, json.dumps(door.form()), content_type="application/json")) == (
        415,
        "invalid_request",
    )
    assert error_of(http.post(path, b"scope=\xff%ff", content_type=MEDIA_TYPE)) == (400, "invalid_request")
    assert error_of(http.post(path, b"scope=%ff", content_type=MEDIA_TYPE)) == (400, "invalid_request")
    assert error_of(door.courier.post(f"{path}?scope=openid", door.courier.signed(door.form()))) == (
        400,
        "invalid_request",
    )
    assert error_of(http.post(path, "scope=openid", content_type=MEDIA_TYPE)) == (401, "invalid_client")
    assert not ApprovalRequest.objects.exists()


@pytest.mark.spec(CORE, "13", "invalid_scope: unknown or malformed")
@pytest.mark.parametrize(
    "scope",
    [
        "openid  accounts.read",
        " openid",
        'openid "x',
        "openid\\",
        "openid x",
        "openid\u00a0x",
        "openid " + "x" * 1000,
        "OPENID",
    ],
)
def test_a_malformed_scope_is_refused(door: Door, scope: str) -> None:
    assert error_of(door.ask(scope=scope)) == (400, "invalid_scope")
    assert not ApprovalRequest.objects.exists()


@pytest.mark.spec(CORE, "13", "unauthorized_client: the client may not use this grant")
@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    "changed", [{"grant_types": ["client_credentials"]}, {"backchannel_token_delivery_mode": "push"}]
)
def test_a_client_that_did_not_register_for_it_is_refused(door: Door, path: str, changed: dict[str, Any]) -> None:
    form = form_for(door, path)
    registered(door, **changed)
    assert error_of(door.courier.post(path, door.courier.signed(form))) == (400, "unauthorized_client")
    assert not AccessToken.objects.exists()


@pytest.mark.spec(CORE, "13", "unauthorized_client: a resource server asks nobody")
@pytest.mark.parametrize("path", BOTH)
def test_a_resource_server_is_no_client_here(door: Door, path: str) -> None:
    form, server = form_for(door, path), door.stage.server
    before = ApprovalRequest.objects.count()
    assert error_of(server.post(path, server.signed(form))) == (400, "unauthorized_client")
    assert ApprovalRequest.objects.count() == before


@pytest.mark.spec(CORE, "13", "access_denied is 403 where the server refuses this kind of request up front")
def test_what_policy_refuses_is_403_and_recorded(door: Door) -> None:
    load_policy(DENY_ALL, by=BY, now=door.stage.agent.registered_at)
    assert error_of(door.ask()) == (403, "access_denied")
    (entry,) = entries("authorization.request.refused")
    assert (entry["data"]["code"], entry["data"]["policies"]) == ("access_denied", ["no"])
    assert not ApprovalRequest.objects.exists()


@pytest.mark.spec(CORE, "13", "unknown_user_id: a hint that leads to nobody, of whatever shape")
@pytest.mark.parametrize(
    "hint",
    [
        "4111111111111111",
        "@",
        "ada@",
        "usr_x",
        "x" * 5000,
        "\u202e",
        "%",
        "' or 1=1 --",
        " ",
    ],
)
def test_a_hint_of_any_shape_leads_to_nobody(door: Door, hint: str) -> None:
    assert error_of(door.ask(login_hint=hint)) == (400, "unknown_user_id")
    assert not ApprovalRequest.objects.exists()


@pytest.mark.spec(CORE, "13", "no value with a NUL reaches the database, which would cut it there or break on it")
@pytest.mark.parametrize("name", ["login_hint", "resource", "scope", "binding_message", "agent_says", "id_token_hint"])
def test_a_nul_is_refused_wherever_it_stands(door: Door, name: str) -> None:
    values = {"login_hint": "ada@acme.example", "resource": PAY, "scope": "openid"}
    alone = {"login_hint": None} if name == "id_token_hint" else {}
    answer = door.ask(**({name: values.get(name, "x") + "\x00"} | alone))
    assert error_of(answer)[0] == 400
    assert not ApprovalRequest.objects.exists()


@pytest.mark.spec("RFC 7523", "3", "nor one in the name of a client")
@pytest.mark.parametrize("path", [*BOTH, "/oauth/introspect", "/oauth/revoke"])
def test_a_client_with_a_nul_in_its_name_is_nobody(door: Door, path: str) -> None:
    for name in (door.courier.client_id + "\x00", "\x00", PAY + "\x00"):
        thief = Machine(name, key=door.courier.key)
        assert error_of(thief.post(path, thief.signed({"token": "x"}))) == (401, "invalid_client")


@pytest.mark.spec("RFC 8707", "2", "nor one in the name of a resource")
def test_a_resource_with_a_nul_is_none(door: Door) -> None:
    assert error_of(door.courier.token(scope="accounts.read", resource=PAY + "\x00")) == (400, "invalid_request")


@pytest.mark.spec(CORE, "7.1", "binding_message is optional")
def test_a_request_without_a_binding_message_opens(door: Door) -> None:
    door.asked(binding_message=None)


@pytest.mark.spec(CORE, "7.1", "acr_values is a wish, requested_expiry is honoured")
def test_wishes_open_a_request(door: Door) -> None:
    answer = door.ask(acr_values="phrh phr", requested_expiry="300")
    assert answer.json()["expires_in"] == 300
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.spec("RFC 8707", "2", "invalid_target: not absolute, with a fragment, or several")
@pytest.mark.parametrize(
    "resource", [PAY + "#x", "pay.example", "/", "urn:x", PAY + "x", PAY.upper(), "https://pay.example"]
)
def test_a_resource_that_is_not_registered_exactly_is_refused(door: Door, resource: str) -> None:
    assert error_of(door.ask(resource=resource)) == (400, "invalid_target")


@pytest.mark.spec("RFC 9396", "5", "a payment misses nothing and every value is of its kind")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda detail: detail.pop("type"),
        lambda detail: detail.update(type=5),
        lambda detail: detail.pop("instructedAmount"),
        lambda detail: detail["instructedAmount"].pop("amount"),
        lambda detail: detail["instructedAmount"].update(amount="ten"),
        lambda detail: detail["instructedAmount"].update(amount="-10.00"),
        lambda detail: detail["instructedAmount"].update(amount="1e3"),
        lambda detail: detail["instructedAmount"].update(amount=10),
        lambda detail: detail["instructedAmount"].pop("currency"),
        lambda detail: detail["instructedAmount"].update(currency="euro"),
        lambda detail: detail.pop("creditorName"),
        lambda detail: detail.update(creditorName=""),
        lambda detail: detail.pop("creditorAccount"),
        lambda detail: detail.update(creditorAccount="DE02100100109307118603"),
        lambda detail: detail["creditorAccount"].pop("iban"),
        lambda detail: detail["creditorAccount"].update(iban="DE02100100109307118604"),
        lambda detail: detail.update(locations=[PAY, "https://other.example/"]),
        lambda detail: detail.update(actions=["accounts.read"]),
        lambda detail: detail.update(note="\ud800"),
        lambda detail: detail.update(creditorName="Acme\x00"),
    ],
)
def test_a_payment_that_misses_something_is_refused(door: Door, spoil: Callable[[dict[str, Any]], Any]) -> None:
    (detail,) = json.loads(payment())
    spoil(detail)
    assert error_of(door.ask(authorization_details=json.dumps([detail]))) == (400, "invalid_authorization_details")
    assert not ApprovalRequest.objects.exists()


@pytest.mark.spec(CORE, "10.1", "client_id, where sent, is that of the assertion")
@pytest.mark.parametrize("path", BOTH)
def test_another_client_id_beside_the_assertion_is_refused(door: Door, path: str) -> None:
    form = door.courier.signed(form_for(door, path))
    other = form | {"client_id": "spiffe://acme.example/other"}
    assert error_of(door.courier.post(path, other)) == (401, "invalid_client")
    assert door.courier.post(path, form | {"client_id": door.courier.client_id}).status_code in (200, 400)


@pytest.mark.spec(CORE, "13", "401 names the scheme that is wanted")
@pytest.mark.parametrize("path", BOTH)
def test_an_unknown_client_is_challenged(door: Door, path: str) -> None:
    ghost = Machine("spiffe://acme.example/ghost")
    answer = ghost.post(path, ghost.signed(form_for(door, path)))
    assert error_of(answer) == (401, "invalid_client")
    assert answer["WWW-Authenticate"].startswith("private_key_jwt ")


@pytest.mark.spec(CORE, "7.1.1", "a request signed for one client is not another's")
def test_the_outer_client_must_be_the_inner_issuer(signing_door: Door) -> None:
    claims = signing_door.request_claims(iss="spiffe://acme.example/other")
    assert error_of(signing_door.ask_signed(claims)) == (400, "invalid_request")
    assert error_of(signing_door.ask_signed(signing_door.request_claims(client_notification_token=5)))[0] == 400


@pytest.mark.spec(CORE, "10.1", "what else a client sends with its poll changes nothing")
def test_extra_parameters_of_a_redemption_change_nothing(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id, "resource": "https://other.example/", "audience": "x"}
    answer = door.courier.post("/oauth/token", door.courier.signed(form))
    claims = claims_of(answer.json()["access_token"])
    assert (claims["aud"], answer.json()["token_type"]) == (PAY, "Bearer")
    assert "cnf" not in claims


@pytest.mark.spec(CORE, "10.1.1", "a token response is not stored by anybody on the way")
def test_the_token_response_is_not_cached_and_has_no_refresh_token(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    answer = door.poll(auth_req_id)
    assert (answer["Cache-Control"], answer["Content-Type"]) == ("no-store", "application/json")
    assert set(answer.json()) == {
        "access_token", "token_type", "expires_in", "scope", "authorization_details", "id_token"
    }  # fmt: skip


@pytest.mark.spec("FAPI-CIBA", "5.2.2", "the ID token carries txn, and agrees with the access token")
def test_the_id_token_carries_the_transaction(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    body = door.poll(auth_req_id).json()
    identity, access = claims_of(body["id_token"]), claims_of(body["access_token"])
    assert identity["txn"] == access["txn"] == door.request().txn
    assert {name: identity[name] for name in ("acr", "amr", "auth_time", "iss")} == {
        name: access[name] for name in ("acr", "amr", "auth_time", "iss")
    }


@pytest.mark.spec(CORE, "7.3", "an auth_req_id has at least 128 bits, and no two are alike")
def test_ids_are_long_random_and_never_the_same(door: Door) -> None:
    ids = {door.asked() for _ in range(8)}
    assert len(ids) == 8
    assert {len(each) for each in ids} == {43}
    assert len({letter for each in ids for letter in each}) > 40


@pytest.mark.spec(CORE, "11", "a parameter of the poll that is given twice or is too long")
def test_a_malformed_poll_is_refused(door: Door) -> None:
    auth_req_id = door.asked()
    twice = [
        *door.courier.signed({"grant_type": CIBA}).items(),
        ("auth_req_id", auth_req_id),
        ("auth_req_id", auth_req_id),
    ]
    assert error_of(door.courier.post("/oauth/token", twice)) == (400, "invalid_request")
    for other in (auth_req_id + "=", auth_req_id[:-1], auth_req_id.swapcase(), "ü"):
        assert error_of(door.poll(other)) == (400, "invalid_grant")
    assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")
