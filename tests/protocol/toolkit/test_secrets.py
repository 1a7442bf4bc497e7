"""An agent has no secret, an empty one is none, and what the toolkit would store of a token is its hash."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client as HttpClient
from oauth2_provider.models import set_token_value
from oauth2_provider.views.base import RevokeTokenView, TokenView
from oauth2_provider.views.introspect import IntrospectTokenView

from aims.authorization.models import AccessToken, Application, RefreshToken
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.toolkit.conftest import ENDPOINTS, mounted, oauth_request, sent_to, toolkit, validator
from tests.support.oauth_client import PAY

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("draft-ietf-wimse-aims", "7", "agents never have static secrets"),
]
BASIC_WITHOUT_SECRET = (
    "Basic c3BpZmZlJTNBJTJGJTJGYWNtZS5leGFtcGxlJTJGY291cmllcjo="  # spiffe://acme.example/courier and ""
)


@pytest.mark.parametrize(
    "change",
    [
        {"client_secret": "s3cr3t"},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": ""},
    ],
)
def test_the_database_refuses_an_agent_a_secret(shadow: Application, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Application.objects.filter(pk=shadow.pk).update(**change)
    for name, value in change.items():
        setattr(shadow, name, value)
    with pytest.raises(IntegrityError), transaction.atomic():
        shadow.save()


def test_the_toolkits_default_secret_is_no_way_round(door: Door, shadow: Application) -> None:
    shadow.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Application.objects.create(agent=door.stage.agent, client_id=door.courier.client_id)  # it makes one up


@pytest.mark.spec("django-oauth-toolkit 3.4.1", "secrets", "an empty secret does not match an agent's empty column")
@pytest.mark.parametrize("view", [TokenView, RevokeTokenView])
def test_an_empty_secret_is_nobodys(door: Door, shadow: Application, view: Any) -> None:
    assert shadow.client_secret == ""
    form = {"grant_type": "client_credentials", "client_id": shadow.client_id, "token": "x"}
    assert mounted(view, form | {"client_secret": ""}).status_code == 401
    assert mounted(view, form).status_code == 401
    assert mounted(view, form, HTTP_AUTHORIZATION=BASIC_WITHOUT_SECRET).status_code == 401
    assert not validator.authenticate_client(oauth_request(client_id=shadow.client_id, client_secret=""))
    assert not AccessToken.objects.exists()


def test_the_toolkits_introspection_tells_an_agent_nothing(door: Door, shadow: Application) -> None:
    token = door.courier.token(scope="accounts.read").json()["access_token"]
    form = {"token": token, "client_id": shadow.client_id, "client_secret": ""}
    for extra in ({}, {"HTTP_AUTHORIZATION": BASIC_WITHOUT_SECRET}, {"HTTP_AUTHORIZATION": f"Bearer {token}"}):
        answer = mounted(IntrospectTokenView, form, **extra)
        assert answer.status_code in (401, 403), extra
        assert b"active" not in answer.content


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_client_made_by_the_toolkits_command_opens_no_endpoint(door: Door, path: str) -> None:
    call_command("createapplication", "confidential", "client-credentials", client_id="made", client_secret="s3cr3t")
    _machine, form = sent_to(door, path)
    answer = HttpClient().post(
        path,
        "&".join([*(f"{k}=x" for k in form), "client_id=made&client_secret=s3cr3t"]),
        content_type="application/x-www-form-urlencoded",
    )
    assert error_of(answer) == (401, "invalid_client")
    basic = door.courier.post(path, form, HTTP_AUTHORIZATION="Basic bWFkZTpzM2NyM3Q=")
    assert error_of(basic) == (401, "invalid_client")


@pytest.mark.spec("RFC 9700", "4", "a token at rest is its hash")
@pytest.mark.parametrize("model", [AccessToken, RefreshToken])
def test_what_the_toolkit_would_store_is_a_hash(model: Any) -> None:
    row = model()
    set_token_value(row, "a-token-as-it-is-sent")
    assert row.token == ""
    assert toolkit.COMPLIANT_BCP_RFC9700_TOKEN_STORAGE


def test_every_token_of_ours_is_bound_to_its_resource(door: Door) -> None:
    door.courier.token(scope="accounts.read")
    row: Any = AccessToken.objects.get()
    assert (row.token, row.resource) == ("", [PAY])
    assert row.allows_audience(PAY)
    for elsewhere in ("https://other.example/", "https://pay.example.evil.example/", "https://pay", ""):
        assert not row.allows_audience(elsewhere)


def test_there_is_no_admin_to_edit_clients_or_tokens_in() -> None:
    assert not apps.is_installed("django.contrib.admin")
    assert HttpClient().get("/admin/").status_code == 404


def test_every_gate_of_the_toolkit_is_closed() -> None:
    gates = {name: value for name, value in vars(type(toolkit)).items() if name.startswith("COMPLIANT_")}
    gates |= {name: getattr(toolkit, name) for name in toolkit.defaults if name.startswith("COMPLIANT_")}
    assert gates
    assert [name for name, value in gates.items() if value is not True] == []
    assert settings.OAUTH2_PROVIDER["OIDC_ISS_ENDPOINT"] == settings.ISSUER
    found = run_checks(include_deployment_checks=True)
    assert [each for each in found if str(each.id).startswith("oauth2_provider.")] == []
