"""The fifteen traps found in django-oauth-toolkit 3.4.1: each is closed, at our endpoints and in what the toolkit shares.

None of the toolkit's views has an address here. Where a trap is one of a view, the view is called all the same, so that
mounting it by mistake would not open it for an agent.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import call_command
from django.test import Client as HttpClient
from django.test import RequestFactory
from django.urls import get_resolver
from oauth2_provider.contrib.rest_framework.authentication import OAuth2Authentication
from oauth2_provider.oauth2_validators import GRANT_TYPE_MAPPING
from oauth2_provider.views.base import AuthorizationView, TokenView
from oauthlib.oauth2 import InvalidRequestError
from pytest_django import Settings
from rest_framework.request import Request

from aims.authorization import pipeline
from aims.authorization.models import AccessToken, Application, AuthorizationCode, DeviceCode, RefreshToken
from aims.authorization.services.agents import suspend_agent
from aims.console.api.auth import OwnAccessToken
from aims.kit import clock, jose
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.toolkit.conftest import ENDPOINTS, mounted, oauth_request, sent_to, toolkit, validator
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY, Machine
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
TOOLKIT = "django-oauth-toolkit 3.4.1"


def trap(number: int, requirement: str) -> pytest.MarkDecorator:
    return pytest.mark.spec(TOOLKIT, f"trap {number}", requirement)


def token_of(door: Door) -> str:
    return str(door.courier.token(scope="accounts.read").json()["access_token"])


@trap(1, "a parameter given twice is refused, not overwritten by the last (RFC 6749 §3.2)")
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("values", [("x", "x"), ("x", ""), ("", "")])
def test_1_a_repeated_parameter_is_refused_everywhere(door: Door, path: str, values: tuple[str, str]) -> None:
    machine, form = sent_to(door, path)
    for name in ("scope", "client_id", "token", "binding_message", "anything"):
        pairs = [pair for pair in machine.signed(form).items() if pair[0] != name]
        answer = machine.post(path, [*pairs, *((name, value) for value in values)])
        assert error_of(answer) == (400, "invalid_request"), name


@trap(2, "a field named user, client or scopes sets nothing")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_2_fields_that_oauthlib_would_set_on_its_request_change_nothing(door: Door, path: str) -> None:
    machine, form = sent_to(door, path)
    stray = {"user": "1", "client": "1", "scopes": "payments.create", "expires_in": "9", "access_token": "x"}
    plain, strayed = (machine.post(path, machine.signed(each)) for each in (form, form | stray))
    assert plain.status_code == strayed.status_code == 200
    assert plain.json().keys() == strayed.json().keys()
    assert plain.json().get("scope") == strayed.json().get("scope")


def test_2_nor_do_they_at_redemption(door: Door) -> None:
    auth_req_id = door.asked()
    door.approve()
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id, "user": "1", "client": "1", "scopes": "openid x"}
    answer = door.courier.post("/oauth/token", door.courier.signed(form))
    claims = jose.parse(answer.json()["access_token"], algorithms=frozenset({"ES256"}), typ=("at+jwt",)).claims
    assert (claims["sub"], claims["client_id"]) == (door.stage.ada.ref, door.courier.client_id)


@trap(3, "an unknown grant type is an error of the specification, not an assertion")
@pytest.mark.parametrize("grant_type", ["x", "", "implicit", "password", *GRANT_TYPE_MAPPING, "a" * 300])
def test_3_only_our_grants_exist(door: Door, shadow: Application, grant_type: str) -> None:
    if grant_type != "client_credentials":
        code = "unsupported_grant_type" if grant_type else "invalid_request"
        code = "unauthorized_client" if grant_type in ("authorization_code", "refresh_token") else code
        assert error_of(door.courier.token(grant_type=grant_type)) == (400, code)
    if grant_type in GRANT_TYPE_MAPPING:
        request = oauth_request(shadow)
        assert not validator.validate_grant_type(shadow.client_id, grant_type, shadow, request)
    form = {"grant_type": grant_type, "client_id": shadow.client_id, "device_code": "x"}
    assert mounted(TokenView, form).status_code in (400, 401, 404)


@trap(4, "the audience is settled before the token is made, and a refusal is never cached")
def test_4_a_token_for_an_unknown_resource_is_never_made(door: Door) -> None:
    refused = door.courier.token(scope="accounts.read", resource="https://unknown.example/")
    assert error_of(refused) == (400, "invalid_target")  # looks at Cache-Control too
    assert not AccessToken.objects.exists()
    claims = jose.parse(token_of(door), algorithms=frozenset({"ES256"}), typ=("at+jwt",)).claims
    assert claims["aud"] == AccessToken.objects.get().audience == PAY


@trap(5, "no consent form loses what was asked: the toolkit's is not mounted, and ours has only the reference")
def test_5_the_toolkit_makes_no_code_for_an_agent(door: Door, shadow: Application) -> None:
    for path in ("/oauth/authorize/", "/authorize/", "/o/authorize/"):
        assert door.courier.http.get(path).status_code == 404
    asked = {"response_type": "code", "client_id": shadow.client_id, "redirect_uri": "https://a.example/cb"}
    request = RequestFactory().get("/", asked)
    request.user = door.stage.ada
    answer = AuthorizationView.as_view()(request)
    assert (answer.status_code, answer.headers.get("Location")) == (400, None)
    for response_type in ("code", "token", "id_token", "code id_token token"):
        assert not validator.validate_response_type(shadow.client_id, response_type, shadow, None)
    assert not AuthorizationCode.objects.exists()


@trap(5, "PKCE is demanded, and plain is refused (RFC 9700 §2.1.1)")
def test_5_plain_pkce_is_refused(door: Door, shadow: Application) -> None:
    assert validator.is_pkce_required(shadow.client_id, oauth_request(shadow))
    request = oauth_request(shadow, code_challenge="x" * 43, code_challenge_method="plain")
    with pytest.raises(InvalidRequestError, match="plain"):
        validator._create_authorization_code(request, {"code": "x"})


@trap(6, "an older token never stands in for consent")
def test_6_consent_is_never_skipped(door: Door, shadow: Application) -> None:
    assert toolkit.REQUEST_APPROVAL_PROMPT == "force"
    assert not shadow.skip_authorization
    assert not Application().skip_authorization


@trap(7, "no code and no reference that stands in the toolkit's column is ever redeemed")
def test_7_a_code_forced_into_the_database_buys_nothing(door: Door, shadow: Application) -> None:
    code = AuthorizationCode.objects.create(
        user=door.stage.ada,
        code="c" * 30,
        application=shadow,
        expires=clock.now() + timedelta(minutes=5),
        redirect_uri="https://a.example/cb",
        scope="accounts.read",
    )
    form = {"code": code.code, "redirect_uri": code.redirect_uri, "client_id": shadow.client_id}
    shadow.grant_types = ["authorization_code"]
    shadow.save()
    sent = form | {"code_verifier": "x" * 43}
    assert error_of(door.courier.token(grant_type="authorization_code", **sent)) == (400, "invalid_grant")
    for secret in ({}, {"client_secret": ""}):
        assert mounted(TokenView, form | secret | {"grant_type": "authorization_code"}).status_code == 401
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.exists()


@trap(8, "the challenge names the scheme that was tried, and never Bearer (RFC 6749 §5.2)")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_8_a_401_says_how_to_authenticate(door: Door, path: str) -> None:
    machine, form = sent_to(door, path)
    tried = machine.post(path, form, HTTP_AUTHORIZATION="Basic YTpi")
    untried = machine.post(path, form)
    assert (tried.status_code, untried.status_code) == (401, 401)
    assert tried["WWW-Authenticate"].startswith("Basic ")
    assert untried["WWW-Authenticate"].startswith("private_key_jwt ")


@trap(9, "a client_id that is an address is never fetched")
def test_9_nobody_is_called_for_an_unknown_client(door: Door) -> None:
    stranger = Machine("https://client.example/metadata.json")  # sockets to the outside are closed: a call would fail
    for path in ENDPOINTS:
        _machine, form = sent_to(door, path)
        assert error_of(stranger.post(path, stranger.signed(form))) == (401, "invalid_client")
    assert not toolkit.CIMD_ENABLED
    form = {"grant_type": "client_credentials", "client_id": stranger.client_id, "client_secret": "x"}
    assert mounted(TokenView, form).status_code == 401
    assert not Application.objects.filter(client_id=stranger.client_id).exists()


@trap(10, "a header is read by its own name, and two of them joined by a comma are not one")
def test_10_joined_headers_authenticate_nobody(door: Door) -> None:
    token = token_of(door)
    api = OwnAccessToken()
    for value in (f"Bearer {token}, Bearer {token}", f"DPoP {token}", f"Bearer  {token}"):
        with pytest.raises(Exception, match="invalid_token|invalid_request|Incorrect"):
            api.authenticate(Request(RequestFactory().get("/api/v1/agents/", HTTP_AUTHORIZATION=value)))
    machine, form = sent_to(door, "/oauth/token")
    joined = machine.post("/oauth/token", form, HTTP_AUTHORIZATION="Basic YTpi, Basic YTpi")
    assert error_of(joined) == (401, "invalid_client")


@trap(10, "two DPoP headers, which the server joins by a comma, are no proof")
def test_10_joined_proofs_are_refused(door: Door) -> None:
    machine, form = sent_to(door, "/oauth/token")
    for joined in ("a.b.c, d.e.f", f"{Key().proof()}, {Key().proof()}"):
        answer = machine.post("/oauth/token", machine.signed(form), HTTP_DPOP=joined)
        assert error_of(answer) == (400, "invalid_dpop_proof")
    assert not AccessToken.objects.exists()


@trap(11, "what breaks is JSON, and not cached")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_11_a_programming_error_is_no_page(door: Door, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def broken(*_args: Any) -> Any:
        raise ZeroDivisionError("secret-of-the-house")

    machine, form = sent_to(door, path)
    signed = machine.signed(form)
    monkeypatch.setattr(pipeline, "read_form", broken)
    answer = machine.post(path, signed)
    assert error_of(answer) == (500, "server_error")
    assert b"secret-of-the-house" not in answer.content


@trap(12, "history lives in the log, whatever becomes of a token's row")
def test_12_revoking_and_clearing_leave_the_history(door: Door) -> None:
    token_of(door)
    row = AccessToken.objects.get()
    row.revoke()
    row.refresh_from_db()
    assert row.revoked_at is not None  # the toolkit would have deleted it
    AccessToken.objects.update(expires=clock.now() - timedelta(days=1))
    call_command("cleartokens")
    assert not AccessToken.objects.exists()
    (issued,) = entries("authorization.token.issued")
    assert (issued["data"]["jti"], issued["txn"]) == (row.jti, row.txn)


@trap(13, "our API asks our own class, and the toolkit's lets nothing in that has ended")
def test_13_a_token_that_ended_is_invalid_for_the_toolkit_too(door: Door) -> None:
    def is_valid(token: str) -> bool:
        return bool(validator.validate_bearer_token(token, [], oauth_request()))

    first, second = token_of(door), token_of(door)
    assert is_valid(first)
    door.courier.post("/oauth/revoke", door.courier.signed({"token": first}))
    assert (is_valid(first), is_valid(second)) == (False, True)
    AccessToken.objects.filter(revoked_at=None).update(resource=["https://other.example/"])
    assert not is_valid(second)
    AccessToken.objects.filter(revoked_at=None).update(resource=[PAY])
    door.stage.agent.refresh_from_db()
    suspend_agent(door.stage.agent, reason="test", by=BY, now=clock.now())
    AccessToken.objects.update(revoked_at=None)
    assert not is_valid(second)  # its agent alone is reason enough


@trap(13, "no view of ours is guarded by the toolkit's classes")
@pytest.mark.urls("aims.urls")
def test_13_no_address_leads_to_a_view_of_the_toolkit(door: Door) -> None:
    assert settings.REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] == ["aims.console.api.auth.OwnAccessToken"]
    views = list(_views(get_resolver()))
    assert views
    assert not [view for view in views if "oauth2_provider" in view.__module__]
    classes = {each for view in views for each in getattr(getattr(view, "cls", None), "authentication_classes", ())}
    assert OAuth2Authentication not in classes


def _views(resolver: Any) -> Any:
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _views(pattern)
        else:
            yield pattern.callback


@trap(14, "the issuer is the one that was configured, whatever host a request names")
def test_14_the_issuer_does_not_follow_the_host(door: Door) -> None:
    request = RequestFactory().get("/", HTTP_HOST="testserver")
    assert toolkit.oidc_issuer(request) == settings.ISSUER
    assert toolkit.oauth2_authorization_server_issuer(request) == settings.ISSUER
    for path in ("openid-configuration", "oauth-authorization-server"):
        body = door.courier.http.get(f"/.well-known/{path}", HTTP_HOST="testserver").json()
        assert body["issuer"] == settings.ISSUER
        assert "testserver" not in json.dumps(body)
    claims = jose.parse(token_of(door), algorithms=frozenset({"ES256"}), typ=("at+jwt",)).claims
    assert claims["iss"] == settings.ISSUER


@trap(15, "no version with the known holes runs: 3.4.1 at least, below 3.5")
def test_15_the_version_is_pinned(settings: Settings) -> None:
    assert (3, 4, 1) <= tuple(int(part) for part in version("django-oauth-toolkit").split(".")[:3]) < (3, 5)
    pins = {
        found
        for lock in (settings.BASE_DIR / "requirements").glob("*.txt")
        for found in re.findall(r"^django-oauth-toolkit==(\S+)", lock.read_text(), re.M)
    }
    assert pins == {version("django-oauth-toolkit")}
    assert '"django-oauth-toolkit>=3.4.1,<3.5"' in (settings.BASE_DIR / "pyproject.toml").read_text()


@trap(15, "a redirect address matches whole: no part of its query, no wildcard, no other host")
def test_15_redirect_addresses_match_exactly() -> None:
    client = Application(client_id="c", redirect_uris="https://a.example/cb?x=1", client_type="confidential")
    assert client.redirect_uri_allowed("https://a.example/cb?x=1")
    for other in ("https://a.example/cb", "https://a.example/cb?x=1&y=2", "https://b.a.example/cb?x=1"):
        assert not client.redirect_uri_allowed(other)
    for wild in ("https://*.example/cb", "https://*.a.example/cb", "javascript:alert(1)"):
        with pytest.raises(ValidationError, match=r"redirect uri|redirect_uris"):
            Application(client_id="c", redirect_uris=wild).clean()


@trap(15, "no symmetric signature by an empty or hashed secret; none at all for an agent")
def test_15_an_agent_signs_nothing_with_a_secret(shadow: Application) -> None:
    for algorithm in ("", "HS256", "RS256"):
        shadow.algorithm = algorithm
        with pytest.raises(ImproperlyConfigured):
            _ = shadow.jwk_key


@trap(15, "a client revokes what is its own")
def test_15_another_clients_token_is_not_revoked(door: Door) -> None:
    token = token_of(door)
    stranger = Machine("spiffe://acme.example/stranger")
    assert stranger.post("/oauth/revoke", stranger.signed({"token": token})).status_code == 401
    server = door.stage.server
    assert error_of(server.post("/oauth/revoke", server.signed({"token": token}))) == (400, "unauthorized_client")
    assert AccessToken.objects.get().revoked_at is None


@trap(15, "no refresh token is made where nobody agreed to offline access")
def test_15_nothing_else_makes_a_refresh_token(door: Door) -> None:
    assert "refresh_token" not in door.courier.token(scope="accounts.read").json()
    auth_req_id = door.asked()
    door.approve()
    assert "refresh_token" not in door.poll(auth_req_id).json()
    assert not RefreshToken.objects.exists()
    assert (toolkit.REFRESH_TOKEN_GRACE_PERIOD_SECONDS, toolkit.REFRESH_TOKEN_REUSE_PROTECTION) == (
        0,
        True,
    )


@trap(15, "no device is let in without a person's word: there is no such flow")
def test_15_the_device_flow_is_not_there(door: Door) -> None:
    for path in ("/oauth/device-authorization", "/device-authorization/", "/device/", "/oauth/device"):
        assert HttpClient().get(path).status_code == 404
        assert door.courier.post(path, {"client_id": door.courier.client_id}).status_code == 404
    assert not DeviceCode.objects.exists()


@trap(15, "no client secret and no assertion reaches the process's own log")
def test_15_what_is_sent_to_authenticate_is_not_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    machine, form = sent_to(door, "/oauth/token")
    assertion = machine.assertion(aud="https://elsewhere.example")
    machine.post("/oauth/token", machine.signed(form) | {"client_assertion": assertion})
    machine.post("/oauth/token", form | {"client_id": "x", "client_secret": "s3cr3t-s3cr3t"})
    machine.post("/oauth/token", form, HTTP_AUTHORIZATION="Basic czNjcjN0OnMzY3IzdA==")
    for secret in ("s3cr3t", assertion, "czNjcjN0"):
        assert secret not in caplog.text
