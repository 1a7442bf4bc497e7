"""Introspection answers as a signed JWT, for the resource server that asks. RFC 9701."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from aims.credentials.models import KeyPurpose
from aims.credentials.queries import own_key
from aims.kit.jose import JoseRefused, parse, verify
from aims.resource_server.access_token import TYP
from tests.support.oauth_client import PAY, Machine, Stage, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
KIND = "application/token-introspection+jwt"


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


def asked(server: Machine, token: str, accept: str | None = KIND) -> Any:
    headers = {"accept": accept} if accept is not None else {}
    return server.post("/oauth/introspect", server.signed({"token": token}), headers=headers)


def token_of(on: Stage) -> str:
    return str(on.courier.token(scope="accounts.read").json()["access_token"])


def read(raw: str) -> Any:
    unverified = parse(raw, algorithms=frozenset({"ES256"}), typ=("token-introspection+jwt",))
    key = own_key(str(unverified.header["kid"]), KeyPurpose.INTROSPECTION)
    assert key is not None
    return verify(unverified, key=key.key()).claims


@pytest.mark.spec("RFC 9701", "5", "typ, iss, aud, iat and token_introspection; no sub and no exp beside it")
def test_the_answer_is_a_jwt_for_this_server(on: Stage) -> None:
    answer = asked(on.server, token_of(on))
    assert (answer.status_code, answer["Content-Type"], answer["Cache-Control"]) == (200, KIND, "no-store")
    claims = read(answer.content.decode())
    assert claims.keys() == {"iss", "aud", "iat", "token_introspection"}
    assert (claims["iss"], claims["aud"]) == (settings.ISSUER, PAY)
    told = claims["token_introspection"]
    assert told["active"] is True and told["client_id"] == on.courier.client_id and told["aud"] == PAY


@pytest.mark.spec("RFC 9701", "4", "JSON unless the media type is asked for")
@pytest.mark.parametrize(
    "accept",
    [None, "", "application/json", "*/*", "application/*", "application/jwt", f"{KIND};q=0", f"{KIND}; q=0.000", "token-introspection+jwt"],
)  # fmt: skip
def test_nobody_gets_a_jwt_unasked(on: Stage, accept: str | None) -> None:
    answer = asked(on.server, token_of(on), accept)
    assert answer["Content-Type"] == "application/json" and answer.json()["active"] is True


@pytest.mark.spec("RFC 9701", "4", "the media type counts wherever it stands, in any case")
@pytest.mark.parametrize("accept", [KIND.upper(), f"application/json, {KIND}", f"text/html;q=0.1,{KIND};q=0.9"])
def test_the_media_type_is_found(on: Stage, accept: str) -> None:
    assert asked(on.server, token_of(on), accept)["Content-Type"] == KIND


@pytest.mark.spec("RFC 9701", "5", "of an inactive, unknown or foreign token it says that alone")
@pytest.mark.parametrize("token", ["unknown", "a.b.c"])
def test_an_inactive_token_says_nothing_more(on: Stage, token: str) -> None:
    assert read(asked(on.server, token).content.decode())["token_introspection"] == {"active": False}


@pytest.mark.spec("RFC 9701", "8.1", "a signed answer is no access token: other typ, other key, and it is unknown here")
def test_an_answer_is_no_token(on: Stage) -> None:
    answer = asked(on.server, token_of(on)).content.decode()
    header = parse(answer, algorithms=frozenset({"ES256"}), typ=("token-introspection+jwt",)).header
    assert own_key(str(header["kid"]), KeyPurpose.ACCESS_TOKEN) is None
    with pytest.raises(JoseRefused):
        parse(answer, algorithms=frozenset({"ES256"}), typ=(TYP,))
    assert asked(on.server, answer, "application/json").json() == {"active": False}


@pytest.mark.spec("RFC 9701", "6", "who is not authenticated gets an error, and errors are JSON")
def test_errors_are_json(on: Stage) -> None:
    stranger = Machine(PAY)
    answer = asked(stranger, token_of(on))
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/json")
    agent = asked(on.courier, token_of(on))
    assert (agent.status_code, agent.json()["error"]) == (400, "unauthorized_client")
