"""The FAPI 2.0 Security Profile as a set: ``AIMS_FAPI`` switches all of it on. Spec: FAPI 2.0 Security Profile §5.3.2."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from aims.authorization.endpoints import metadata
from aims.authorization.errors import ClientSettingsRefused
from aims.authorization.models import Application, AuthorizationCode
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.authorization.services.codes import CODE_LIFE_S
from aims.kit import clock
from aims.kit.jose import ALGORITHMS
from aims.people.models import User
from tests.support.cast import Acting
from tests.support.desk import BACK, Desk, desk, went
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY

pytestmark = pytest.mark.django_db
FAPI = "FAPI 2.0 Security Profile"
LOOPBACK = "http://127.0.0.1/back"


@pytest.fixture
def at(courier: Acting, ada: User, settings: Any) -> Desk:
    there = desk(courier, ada)
    settings.FAPI = True
    return there


@pytest.mark.spec(FAPI, "5.3.2.1", "only sender-constrained access tokens are issued")
def test_no_bearer_token_is_issued(at: Desk) -> None:
    machine = at.courier.machine
    form = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
    bare = machine.post("/oauth/token", machine.signed(form))
    assert (bare.status_code, bare.json()["error"]) == (400, "invalid_dpop_proof")
    proof = Key().proof("/oauth/token")
    answer = machine.post("/oauth/token", machine.signed(form), headers={"DPoP": proof})
    assert answer.json()["error"] == "access_denied"  # it was heard, and policy says no: Courier has no grant here


@pytest.mark.spec(FAPI, "5.3.2.1", "only confidential clients")
def test_a_client_without_a_key_is_not_served(at: Desk) -> None:
    Application.objects.update(token_endpoint_auth_method="none", client_type="public")
    answer = at.ada.http.get("/oauth/authorize?" + urlencode(at.form()))
    assert went(answer)["error"] == "unauthorized_client"


@pytest.mark.spec(FAPI, "5.3.2.2", "a request that was not pushed is refused; a pushed one is not")
def test_requests_are_pushed(at: Desk) -> None:
    assert went(at.ada.http.get("/oauth/authorize?" + urlencode(at.form())))["error"] == "invalid_request"
    assert at.opens(at.pushed()).status_code == 200


@pytest.mark.spec(FAPI, "5.3.2.2", "request_uri lives less than 600 s, a code 60 s at most")
def test_nothing_lives_long(at: Desk) -> None:
    assert at.pushes().json()["expires_in"] < 600
    assert CODE_LIFE_S <= 60


@pytest.mark.spec(FAPI, "5.3.2.2", "redirect URIs are https, and sent with the pushed request")
def test_answers_go_to_https_only(at: Desk) -> None:
    with pytest.raises(ClientSettingsRefused):
        configure_client(at.courier.agent, ClientSettings(redirect_uris=(LOOPBACK,)), by=BY, now=clock.now())
    Application.objects.update(redirect_uris=LOOPBACK)
    assert at.pushes(redirect_uri=LOOPBACK).json()["error"] == "invalid_request"
    assert at.pushes(redirect_uri=None).json()["error"] == "invalid_request"


@pytest.mark.spec(FAPI, "5.3.2.2", "PKCE with S256, and iss in every response")
def test_codes_are_bound_and_answers_name_their_issuer(at: Desk) -> None:
    for changed in ({"code_challenge": None}, {"code_challenge_method": "plain"}):
        assert at.pushes(**changed).json()["error"] == "invalid_request"
    assert "iss" in went(at.answers(at.pushed()))
    assert "iss" in went(at.answers(at.pushed(), decision="deny"))
    assert AuthorizationCode.objects.count() == 1
    assert BACK.startswith("https:")


@pytest.mark.spec(FAPI, "5.4.1", "PS256, ES256 and EdDSA, never none or RS256")
def test_only_strong_signatures_count() -> None:
    assert {"none", "RS256", "HS256"} & set(ALGORITHMS) == set()


@pytest.mark.spec("RFC 9126", "5", "metadata says that requests must be pushed where it is so for everybody")
def test_the_metadata_says_so(at: Desk, settings: Any) -> None:
    assert metadata.document()["require_pushed_authorization_requests"] is True
    settings.FAPI = False
    assert "require_pushed_authorization_requests" not in metadata.document()
