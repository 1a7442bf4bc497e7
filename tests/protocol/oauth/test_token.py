"""The token endpoint, introspection, revocation, metadata: black box over HTTP."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.conf import settings
from joserfc import jwt
from joserfc.jwk import KeySet

from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.models import AccessToken
from aims.identifier import services as identifier
from aims.identifier.models import Resource
from aims.kit import clock
from aims.policy.models import PolicyVersion
from audit.models import InboxRow
from tests.support.oauth_client import MEDIA_TYPE, PAY, Machine, Stage, payment, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]


@pytest.fixture
def on(db: None) -> Stage:
    jwks.forget()
    metadata.forget()
    return stage()


def error(response: Any, status: int = 400) -> str:
    assert response.status_code == status, response.content
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert all(0x20 <= ord(letter) < 0x7F and letter not in '"\\' for letter in body["error_description"])
    return str(body["error"])


def entries(kind: str) -> list[dict[str, Any]]:
    found = [json.loads(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry for entry in found if entry["type"] == kind]


@pytest.mark.spec("RFC 9068", "2", "header and claims of the access token")
def test_the_token_is_an_rfc_9068_token_signed_by_a_published_key(on: Stage) -> None:
    body = on.courier.token(scope="accounts.read").json()
    keys = KeySet.import_key_set(on.courier.http.get("/oauth/jwks").json())
    token = jwt.decode(body["access_token"], keys, algorithms=["ES256"])
    assert (token.header["typ"], body["token_type"]) == ("at+jwt", "Bearer")
    claims = token.claims
    assert claims["iss"] == settings.ISSUER
    assert claims["sub"] == claims["client_id"] == on.courier.client_id
    assert (claims["aud"], claims["scope"]) == (PAY, "accounts.read")
    assert 295 <= claims["exp"] - claims["iat"] <= 300
    assert {"jti", "txn"} <= claims.keys()
    assert "approval" not in claims


@pytest.mark.spec("RFC 6749", "10.3", "tokens are not stored")
def test_only_the_hash_of_a_token_is_stored_and_the_entry_names_it(on: Stage) -> None:
    token = on.courier.token(scope="accounts.read").json()["access_token"]
    row = AccessToken.objects.get()
    assert (row.token, len(row.token_checksum)) == ("", 64)
    (entry,) = entries("authorization.token.issued")
    assert (entry["agent"], entry["resource"], entry["action"]) == (on.courier.client_id, PAY, "accounts.read")
    assert (entry["decision"], entry["data"]["jti"], entry["txn"]) == ("allow", row.jti, row.txn)
    assert token not in json.dumps(entry)


@pytest.mark.spec(
    "AIMS Console", "authorization", "ask answers interaction_required and names the backchannel endpoint"
)
def test_what_needs_a_person_is_refused_and_says_where_to_ask(on: Stage) -> None:
    response = on.courier.token(authorization_details=payment())
    assert error(response) == "interaction_required"
    assert "/oauth/bc-authorize" in response.json()["error_description"]
    (entry,) = entries("authorization.token.refused")
    assert entry["data"]["policies"] == ["ask-before-it-leaves-the-house"]
    assert not AccessToken.objects.exists()


@pytest.mark.spec("RFC 8707", "2", "exactly one known resource")
@pytest.mark.parametrize("resource", [None, "https://unknown.example/", "not a uri", [PAY, "https://unknown.example/"]])
def test_anything_but_one_known_resource_is_an_invalid_target(on: Stage, resource: Any) -> None:
    assert error(on.courier.token(resource=resource, scope="accounts.read")) == "invalid_target"


@pytest.mark.spec("RFC 8707", "2", "the same resource twice is one resource")
def test_a_resource_may_be_repeated(on: Stage) -> None:
    assert on.courier.token(resource=[PAY, PAY], scope="accounts.read").status_code == 200


@pytest.mark.spec("RFC 6749", "3.3", "scope alone carries read-only actions")
@pytest.mark.parametrize("scope", [None, "unknown", "payments.create", "drafts.write", "openid", "accounts.read x"])
def test_a_scope_that_cannot_be_had_is_invalid(on: Stage, scope: str | None) -> None:
    assert error(on.courier.token(scope=scope)) == "invalid_scope"


@pytest.mark.spec("RFC 9396", "5", "details are strict JSON of a known type")
@pytest.mark.parametrize(
    "details",
    [
        "{}",
        "[]",
        "[1]",
        "nonsense",
        '[{"type":"unknown"}]',
        '[{"type":"payment_initiation"}]',
        "[" * 100,
        '[{"type":"payment_initiation","type":"x"}]',
        '[{"type":"payment_initiation","n":1.5}]',
        "[" + " " * 17000 + "]",
    ],
)
def test_details_that_are_not_strict_are_refused(on: Stage, details: str) -> None:
    assert error(on.courier.token(authorization_details=details)) == "invalid_authorization_details"


def test_without_a_policy_and_without_a_grant_nothing_is_allowed(on: Stage) -> None:
    on.agent.grants.update(revoked_at=clock.now())
    assert error(on.courier.token(scope="accounts.read")) == "access_denied"
    on.agent.grants.update(revoked_at=None)
    PolicyVersion.objects.update(is_active=False)
    assert error(on.courier.token(scope="accounts.read")) == "access_denied"


@pytest.mark.spec("RFC 6749", "5.2", "unsupported_grant_type")
@pytest.mark.parametrize(
    "grant_type",
    [
        "password",
        "implicit",
        "x",
        "urn:ietf:params:oauth:grant-type:device_code",
    ],
)
def test_grants_that_are_not_open_are_unsupported(on: Stage, grant_type: str) -> None:
    assert error(on.courier.token(grant_type=grant_type)) == "unsupported_grant_type"


def test_a_missing_grant_type_is_an_invalid_request(on: Stage) -> None:
    assert error(on.courier.token(grant_type=None)) == "invalid_request"


@pytest.mark.spec("RFC 6749", "3.2", "POST, a form, nothing twice, nothing in the query")
def test_the_shape_of_the_request_is_held(on: Stage) -> None:
    http = on.courier.http
    get = http.get("/oauth/token")
    assert (error(get, 405), get["Allow"]) == ("invalid_request", "POST")
    assert error(http.post("/oauth/token", "{}", content_type="application/json"), 415) == "invalid_request"
    assert error(http.post("/oauth/token", "a=" + "x" * 262_144, content_type=MEDIA_TYPE), 413) == "invalid_request"
    assert error(on.courier.post("/oauth/token?scope=x", {})) == "invalid_request"
    for name in ("scope", "grant_type", "client_assertion", "authorization_details", "anything"):
        assert error(on.courier.post("/oauth/token", [(name, "x"), (name, "x")])) == "invalid_request"


def introspected(machine: Machine, token: str) -> Any:
    return machine.post("/oauth/introspect", machine.signed({"token": token}))


@pytest.mark.spec("RFC 7662", "2.2", "active only for the resource server that the token is for")
def test_the_resource_server_learns_what_the_token_says_and_that_is_the_use(on: Stage) -> None:
    token = on.courier.token(scope="accounts.read").json()["access_token"]
    body = introspected(on.server, token).json()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert body == {"active": True, "token_type": "Bearer"} | claims
    (entry,) = entries("authorization.token.used")
    assert (entry["by"], entry["agent"], entry["txn"]) == (PAY, on.courier.client_id, claims["txn"])


@pytest.mark.spec("RFC 7662", "4", "nobody else learns anything")
def test_others_learn_only_that_it_is_not_active(on: Stage) -> None:
    token = on.courier.token(scope="accounts.read").json()["access_token"]
    other = Machine("https://other.example/")
    now = clock.now()
    server = identifier.register_resource(
        identifier.RegisterResource(identifier=other.client_id, name="Other"), by="cli:test", now=now
    )
    from aims.credentials import services as credentials

    credentials.register_keys(server.ref, other.jwks, by="cli:test", now=now)
    for machine, what in ((other, token), (on.server, "unknown"), (on.server, token + "x")):
        assert introspected(machine, what).json() == {"active": False}
    assert error(introspected(on.courier, token)) == "unauthorized_client"
    assert error(on.server.post("/oauth/introspect", on.server.signed({}))) == "invalid_request"
    assert not entries("authorization.token.used")


@pytest.mark.spec("draft-ietf-wimse-aims", "10", "a suspended agent's tokens end at once")
def test_a_token_ends_with_its_agent(on: Stage) -> None:
    token = on.courier.token(scope="accounts.read").json()["access_token"]
    identifier.suspend(on.agent, reason="test", by="cli:test", now=clock.now())
    assert introspected(on.server, token).json() == {"active": False}


@pytest.mark.spec("RFC 7009", "2", "revoked means inactive, and 200 whatever it was")
def test_a_revoked_token_is_not_active_any_more(on: Stage) -> None:
    token = on.courier.token(scope="accounts.read").json()["access_token"]
    for _ in range(2):
        assert on.courier.post("/oauth/revoke", on.courier.signed({"token": token})).status_code == 200
    assert introspected(on.server, token).json() == {"active": False}
    assert len(entries("authorization.token.revoked")) == 1
    unknown = {"token": "unknown", "token_type_hint": "whatever"}
    assert on.courier.post("/oauth/revoke", on.courier.signed(unknown)).status_code == 200


@pytest.mark.spec("RFC 8414", "3", "metadata names what answers, and only that")
@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_metadata_is_bytes_with_an_etag(on: Stage, path: str) -> None:
    response = on.courier.http.get(f"/.well-known/{path}")
    body = response.json()
    assert body["issuer"] == settings.ISSUER
    assert "client_credentials" in body["grant_types_supported"]
    assert body["authorization_endpoint"] == f"{settings.ISSUER}/oauth/authorize"
    assert body["authorization_details_types_supported"] == ["payment_initiation"]
    again = on.courier.http.get(f"/.well-known/{path}", HTTP_IF_NONE_MATCH=response["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert on.courier.http.post(f"/.well-known/{path}").status_code == 405


@pytest.mark.spec("RFC 7517", "5", "no private member is published")
def test_the_key_set_holds_public_keys_only(on: Stage) -> None:
    keys = on.courier.http.get("/oauth/jwks").json()["keys"]
    assert keys
    assert not any("d" in key for key in keys)


def test_a_retired_resource_is_no_target_and_its_server_no_client(on: Stage) -> None:
    token = on.courier.token(scope="accounts.read").json()["access_token"]
    identifier.retire_resource(Resource.objects.get(identifier=PAY), by="cli:test", now=clock.now())
    assert error(on.courier.token(scope="accounts.read")) == "invalid_target"
    assert introspected(on.server, token).status_code == 401
