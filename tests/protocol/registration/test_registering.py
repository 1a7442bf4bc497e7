"""Clients register themselves, from outside. RFC 7591."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.known_clients import Standing, client_for
from aims.authorization.models import Application, ClientRegistration
from aims.authorization.services import registrations
from aims.authorization.services.registration_rows import source_of
from aims.authorization.services.registrations import WAITING_MAX_SOURCE, WAITS_FOR
from aims.identifier.models import Agent
from aims.kit import clock
from audit.models import InboxRow
from tests.protocol.registration.desk import CALLBACK, REGISTER, Desk, code_of, jwks_of, new_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
CODE = ["authorization_code", "refresh_token"]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.spec("RFC 7591", "3.2.1", "201 with the client_id and every registered member, defaults included")
def test_a_client_learns_what_it_was_registered_with(desk: Desk) -> None:
    answer = desk.register(scope="accounts.read", software_id="nimble")
    body = answer.json()
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    assert body["client_id"].startswith("spiffe://localhost/registered/")
    assert body["redirect_uris"] == [CALLBACK] and body["scope"] == "accounts.read"
    assert (body["grant_types"], body["response_types"]) == (["authorization_code"], ["code"])
    assert (body["token_endpoint_auth_method"], body["application_type"]) == ("none", "web")
    assert isinstance(body["client_id_issued_at"], int)


@pytest.mark.spec("draft-ietf-wimse-aims", "7", "no client secret is ever made")
@pytest.mark.parametrize("asked", [None, "none", "client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_who_asks_for_a_secret_and_needs_none_gets_none(desk: Desk, asked: str | None) -> None:
    body = desk.registered(token_endpoint_auth_method=asked, grant_types=CODE)
    assert body["token_endpoint_auth_method"] == "none"
    assert not {"client_secret", "client_secret_expires_at"} & body.keys()


@pytest.mark.spec("RFC 7591", "2", "what a client of the MCP Python SDK sends is registered as it is")
def test_an_mcp_client_can_register(desk: Desk) -> None:
    sent = {
        "redirect_uris": ["http://localhost:3030/callback"],
        "grant_types": CODE,
        "response_types": ["code"],
        "application_type": "native",
        "client_name": "MCP client",
    }
    answer = desk.send("POST", REGISTER, sent)
    assert answer.status_code == 201 and sent.items() <= answer.json().items()


@pytest.mark.spec("RFC 7591", "2", "jwks or jwks_uri with private_key_jwt")
@pytest.mark.parametrize("given", [{"jwks": True}, {"jwks_uri": "https://app.example/jwks.json"}])
def test_a_client_with_a_key_of_its_own_may_have_every_grant(desk: Desk, given: dict[str, Any]) -> None:
    keys = {"jwks": jwks_of(new_key())} if "jwks" in given else given
    body = desk.registered(grant_types=["client_credentials"], redirect_uris=None, **keys)
    assert body["token_endpoint_auth_method"] == "private_key_jwt" and body["response_types"] == []
    assert keys.keys() <= body.keys()


@pytest.mark.spec("RFC 7591", "2", "unknown members and null ones are passed over")
def test_what_we_do_not_know_is_not_registered(desk: Desk) -> None:
    body = desk.registered(frobnicate=True, tos_uri=None, software_statement="eyJhbGciOiJub25lIn0.e30.", policy_uri="")
    assert not {"frobnicate", "software_statement", "tos_uri", "policy_uri"} & body.keys()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no redirect URI", {"redirect_uris": None}, "invalid_redirect_uri"),
    ("none in the list", {"redirect_uris": []}, "invalid_redirect_uri"),
    ("not a list", {"redirect_uris": CALLBACK}, "invalid_redirect_uri"),
    ("too many", {"redirect_uris": [f"{CALLBACK}/{n}" for n in range(11)]}, "invalid_redirect_uri"),
    ("one twice", {"redirect_uris": [CALLBACK, CALLBACK]}, "invalid_redirect_uri"),
    ("not a text", {"redirect_uris": [5]}, "invalid_redirect_uri"),
    ("relative", {"redirect_uris": ["/callback"]}, "invalid_redirect_uri"),
    ("a fragment", {"redirect_uris": [f"{CALLBACK}#x"]}, "invalid_redirect_uri"),
    ("an empty fragment", {"redirect_uris": [f"{CALLBACK}#"]}, "invalid_redirect_uri"),
    ("plain http", {"redirect_uris": ["http://app.example/callback"]}, "invalid_redirect_uri"),
    ("a script", {"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    ("data", {"redirect_uris": ["data:text/html,x"]}, "invalid_redirect_uri"),
    ("a wildcard", {"redirect_uris": ["https://*.app.example/"]}, "invalid_redirect_uri"),
    ("a user", {"redirect_uris": ["https://a@app.example/"]}, "invalid_redirect_uri"),
    ("a dot segment", {"redirect_uris": ["https://app.example/a/../b"]}, "invalid_redirect_uri"),
    ("no host", {"redirect_uris": ["https:///callback"]}, "invalid_redirect_uri"),
    ("a line break", {"redirect_uris": ["https://app.example/\r\nx"]}, "invalid_redirect_uri"),
    ("a blank", {"redirect_uris": ["https://app.example/a https://evil.example/"]}, "invalid_redirect_uri"),
    ("too long", {"redirect_uris": [f"{CALLBACK}/{'x' * 2048}"]}, "invalid_redirect_uri"),
    ("web on loopback", {"application_type": "web", "redirect_uris": ["http://127.0.0.1/"]}, "invalid_redirect_uri"),
    ("unknown type", {"application_type": "toaster"}, "invalid_client_metadata"),
    ("unknown method", {"token_endpoint_auth_method": "magic"}, "invalid_client_metadata"),
    ("a method that is no text", {"token_endpoint_auth_method": 1}, "invalid_client_metadata"),
    ("a key method without keys", {"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ("a secret for itself", {"token_endpoint_auth_method": "client_secret_basic", "grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    ("own behalf without a key", {"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    ("implicit", {"grant_types": ["implicit"]}, "invalid_client_metadata"),
    ("password", {"grant_types": ["password"]}, "invalid_client_metadata"),
    ("refresh alone", {"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
    ("a token response", {"response_types": ["token"]}, "invalid_client_metadata"),
    ("a response without its grant", {"response_types": []}, "invalid_client_metadata"),
    ("a scope with a quote", {"scope": 'a"b'}, "invalid_client_metadata"),
    ("two blanks in scope", {"scope": "a  b"}, "invalid_client_metadata"),
    ("a name that is no text", {"client_name": ["x"]}, "invalid_client_metadata"),
    ("a name that is too long", {"client_name": "x" * 201}, "invalid_client_metadata"),
    ("a NUL", {"client_name": "a\x00b"}, "invalid_client_metadata"),
    ("a page in a script", {"client_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
    ("a logo over http", {"logo_uri": "http://app.example/logo.png"}, "invalid_client_metadata"),
    ("contacts that are no list", {"contacts": "me"}, "invalid_client_metadata"),
    ("a flag that is a text", {"dpop_bound_access_tokens": "true"}, "invalid_client_metadata"),
    ("an unknown profile", {"client_profile": "ai_agent wizard"}, "invalid_client_metadata"),
    ("an algorithm of secrets", {"token_endpoint_auth_signing_alg": "HS256"}, "invalid_client_metadata"),
]  # fmt: skip


@pytest.mark.spec("RFC 7591", "3.2.2", "each ill-formed member is refused, and nothing is registered")
@pytest.mark.parametrize(("members", "code"), [pytest.param(*rest, id=name) for name, *rest in WRONG])
def test_a_member_that_is_wrong_is_refused(desk: Desk, members: dict[str, Any], code: str) -> None:
    assert code_of(desk.register(**members)) == code
    assert not ClientRegistration.objects.exists()


@pytest.mark.spec("RFC 7591", "2", "keys are asymmetric, public, and given once")
@pytest.mark.parametrize(
    "keys",
    [
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"jwks": {"keys": [new_key().as_dict(private=True)]}},
        {"jwks": {"keys": []}},
        {"jwks": []},
        {"jwks": {"keys": [new_key().as_dict(private=False) | {"kid": "a\x00b"}]}},
        {"jwks": jwks_of(new_key()), "jwks_uri": "https://app.example/jwks.json"},
        {"jwks_uri": "http://app.example/jwks.json"},
        {"jwks_uri": "https://user@app.example/jwks.json"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
def test_keys_that_can_not_be_had_are_refused(desk: Desk, keys: dict[str, Any]) -> None:
    assert code_of(desk.register(**keys)) == "invalid_client_metadata"


@pytest.mark.spec("RFC 7591", "3.1", "the body is one JSON object with each member once")
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}', "application/json", 400),
        (b'{"jwks":{"keys":[],"keys":[]}}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b" ", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"client_name":"\xff"}', "application/json", 400),
        (b'{"client_name":"\\ud800"}', "application/json", 400),
        (b'{"x":' + b"[" * 40 + b"]" * 40 + b"}", "application/json", 400),
        (b'{"client_name":"' + b"x" * 16384 + b'"}', "application/json", 413),
        (b"redirect_uris=https://a.example/", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_body_that_is_no_metadata_is_refused(desk: Desk, body: bytes, kind: str, status: int) -> None:
    code_of(desk.send("POST", REGISTER, body, content_type=kind), status)


@pytest.mark.spec("RFC 7591", "3.1", "registration is a POST")
def test_other_methods_are_refused(desk: Desk) -> None:
    answer = desk.send("GET", REGISTER)
    assert answer.status_code == 405 and answer["Allow"] == "POST"


@pytest.mark.spec("RFC 7591", "5", "an open endpoint is limited: per address, with 429")
def test_one_address_can_not_fill_the_quarantine(desk: Desk) -> None:
    for _ in range(WAITING_MAX_SOURCE):
        desk.registered()
    answer = desk.register()
    assert code_of(answer, 429) == "temporarily_unavailable" and int(answer["Retry-After"]) > 0
    assert Desk(address="203.0.113.9").register().status_code == 201


@pytest.mark.spec("RFC 7591", "5", "the addresses of one household count as one")
def test_ipv6_addresses_of_one_network_share_their_room() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1")
    assert source_of("2001:db8::1") != source_of("2001:db8:1::1")


@pytest.mark.spec("RFC 7591", "5", "what registers itself may do nothing until it is admitted")
def test_a_registered_client_is_no_agent_yet(desk: Desk) -> None:
    body = desk.registered()
    known = client_for(body["client_id"])
    assert known.standing is Standing.WAITING and not known.may_redirect_to(CALLBACK)
    assert not Agent.objects.exists() and not Application.objects.exists()


@pytest.mark.spec("RFC 7592", "5", "the registration token is stored as a hash, and never enters the log")
def test_the_registration_token_is_nowhere(desk: Desk) -> None:
    token = desk.registered()["registration_access_token"]
    row = ClientRegistration.objects.get()
    assert token not in str(vars(row))
    assert not any(token.encode() in bytes(entry.payload) for entry in InboxRow.objects.all())


@pytest.mark.spec("RFC 7591", "5", "the log holds no word that a stranger chose")
def test_names_of_strangers_stay_out_of_the_log(desk: Desk) -> None:
    desk.registered(client_name="Zanzibar", contacts=["me@zanzibar.example"])
    assert not any(b"anzibar" in bytes(entry.payload) for entry in InboxRow.objects.all())


@pytest.mark.spec("RFC 7591", "5", "what nobody admits is forgotten")
def test_a_client_that_nobody_admits_is_forgotten(desk: Desk) -> None:
    body, now = desk.registered(), clock.now()
    assert registrations.expire_due(now=now + WAITS_FOR / 2) == 0
    assert registrations.expire_due(now=now + WAITS_FOR) == 1
    assert client_for(body["client_id"]).standing is Standing.UNKNOWN
    assert registrations.expire_due(now=now + WAITS_FOR) == 0
