"""Clients that run in a browser: discovery, registration and token are readable from any origin. MCP 2026-07-28."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings

from aims.authorization.client_errors import ClientAddressRefused
from aims.authorization.endpoints.metadata import document
from aims.authorization.services import documents
from aims.authorization.urls import well_known
from aims.kit import clock
from tests.protocol.registration.desk import Desk

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
OPEN = [
    ("/.well-known/oauth-authorization-server", "GET"),
    ("/.well-known/openid-configuration", "GET"),
    ("/oauth/jwks", "GET"),
    ("/oauth/token", "POST"),
    ("/oauth/register", "POST"),
    ("/oauth/register/reg_x", "GET, PUT, DELETE"),
    ("/oauth/revoke", "POST"),
]
ORIGIN = {"origin": "https://inspector.example"}


@pytest.mark.spec("RFC 9449", "8", "DPoP-Nonce and WWW-Authenticate are exposed to scripts")
@pytest.mark.parametrize(("path", "methods"), OPEN)
def test_a_preflight_is_told_what_it_may_do(path: str, methods: str) -> None:
    wanted = {"access-control-request-method": methods.partition(",")[0], "access-control-request-headers": "dpop"}
    answer = Client().options(path, headers=ORIGIN | wanted)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (204, "*")
    assert answer["Access-Control-Allow-Methods"] == methods and "DPoP" in answer["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.spec("RFC 9449", "8", "errors are readable too, with the headers that a client needs")
def test_an_error_is_readable(db: None) -> None:
    answer = Client().post("/oauth/token", headers=ORIGIN)
    assert answer.status_code >= 400 and answer["Access-Control-Allow-Origin"] == "*"
    assert {"DPoP-Nonce", "WWW-Authenticate"} <= set(answer["Access-Control-Expose-Headers"].split(", "))


@pytest.mark.spec("RFC 6749", "3.2", "OPTIONS that is no preflight is no token request")
def test_a_bare_options_is_refused() -> None:
    assert Client().options("/oauth/token").status_code == 405


@pytest.mark.spec("RFC 7662", "4", "introspection is for servers, not for scripts of other origins")
@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/bc-authorize"])
def test_the_rest_stays_closed(path: str) -> None:
    answer = Client().post(path, headers=ORIGIN)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.spec("RFC 8414", "2", "what is off is not named, and does not answer")
def test_what_is_off_is_not_promised() -> None:
    both = {"registration_endpoint", "client_id_metadata_document_supported"}
    assert both <= document().keys()
    with override_settings(REGISTRATION=False, CLIENT_DOCUMENTS=False):
        assert not both & document().keys()
        assert Desk().register().status_code == 404
        with pytest.raises(ClientAddressRefused):
            documents.look_up("https://nimble.example/client.json", address="", now=clock.now(), get=_never)


@pytest.mark.spec("RFC 8414", "3.1", "an issuer with a path is found before and after it")
def test_an_issuer_with_a_path_is_found() -> None:
    assert {
        ".well-known/oauth-authorization-server/tenant/one",
        ".well-known/openid-configuration/tenant/one",
        "tenant/one/.well-known/openid-configuration",
    } <= set(well_known("https://id.example/tenant/one"))


def _never(url: str) -> Any:
    raise AssertionError(f"{url} was fetched")
