"""The words of OpenID Connect in a scope: what each opens, and where one stands on nothing. Spec: OpenID Connect Core 1.0."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings

from aims.authorization.models import Application, AuthorizationCode, DelegationGrant, PushedRequest
from aims.people.models import User
from tests.support.cast import Acting, browser_of
from tests.support.codes import claims
from tests.support.desk import BACK, READ, VERIFIER, Desk, desk, payment, went
from tests.unit.approvals.stage import entries

pytestmark = pytest.mark.django_db
CORE = "OpenID Connect Core 1.0"
SIGN_IN: dict[str, Any] = {"resource": None}
NO_GROUND: list[dict[str, Any]] = [
    {"scope": "email", "resource": None},
    {"scope": "profile email", "resource": None},
    {"scope": "email offline_access", "resource": None},
    {"scope": "offline_access", "resource": None},
    {"scope": "offline_access"},
    {"scope": f"{READ} email"},
    {"scope": f"{READ} profile offline_access"},
    {"scope": "profile", "authorization_details": payment()},
    {"scope": "openid"},
    {"scope": "openid email offline_access"},
]


@pytest.fixture
def at(courier: Acting, ada: User) -> Desk:
    return desk(courier, ada)


def redeemed(at: Desk, *, ticked: list[str] | None = None, **changed: Any) -> dict[str, Any]:
    """Ask, agree to what is ticked (everything unless told), and use the code."""
    at.asked = changed
    answer = at.answers(at.pushed(), scope=changed["scope"].split() if ticked is None else ticked)
    form = {"grant_type": "authorization_code", "code": went(answer)["code"], "redirect_uri": BACK}
    return tokens(at, form | {"code_verifier": VERIFIER})


def tokens(at: Desk, form: dict[str, str]) -> dict[str, Any]:
    answer = at.courier.machine.post("/oauth/token", at.courier.machine.signed(form))
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def told(at: Desk, token: str) -> dict[str, Any]:
    """Return what userinfo says, without the name that only this client gets."""
    answer = at.courier.machine.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.content
    return {name: value for name, value in answer.json().items() if name != "sub"}


@pytest.mark.spec(CORE, "3.1.2.1", "without openid its words ask for nothing, and are refused when they are pushed")
def test_words_that_stand_on_nothing_are_refused_where_they_are_pushed(at: Desk) -> None:
    for changed in NO_GROUND:
        answer = at.pushes(**changed)
        assert (changed, answer.status_code, answer.json()["error"]) == (changed, 400, "invalid_scope")
    assert not PushedRequest.objects.exists()
    assert {entry["data"]["code"] for entry in entries("authorization.token.refused")} == {"invalid_scope"}


@pytest.mark.spec(CORE, "3.1.2.6", "at the authorization endpoint the client is told before anybody signs in")
def test_words_that_stand_on_nothing_trouble_no_person(at: Desk) -> None:
    Application.objects.update(token_endpoint_auth_method="none", client_type="public")
    for changed in NO_GROUND:
        query = urlencode(at.form(**changed), doseq=True)
        answer = went(browser_of(None).get(f"/oauth/authorize?{query}"))
        assert (changed, answer["error"], answer["iss"]) == (changed, "invalid_scope", settings.ISSUER)
    assert not PushedRequest.objects.exists()


@pytest.mark.spec(CORE, "5.4", "openid alone tells who, profile the name, email the address, and no more")
@pytest.mark.parametrize(
    ("scope", "claims_told"),
    [
        ("openid", {}),
        ("openid profile", {"name": "Ada"}),
        ("email openid", {"email": "ada@acme.example"}),
        ("openid profile email", {"name": "Ada", "email": "ada@acme.example"}),
    ],
)
def test_userinfo_tells_what_the_agreed_words_open(at: Desk, scope: str, claims_told: dict[str, str]) -> None:
    body = redeemed(at, scope=scope, **SIGN_IN)
    assert told(at, body["access_token"]) == claims_told
    assert not {"name", "email"} & claims(body["id_token"]).keys()
    assert "refresh_token" not in body


@pytest.mark.spec(CORE, "11", "offline_access is a refresh token, which opens userinfo when nobody is there")
def test_offline_access_goes_on_telling_what_was_agreed(at: Desk) -> None:
    body = redeemed(at, scope="openid email offline_access", **SIGN_IN)
    again = tokens(at, {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]})
    assert told(at, again["access_token"]) == {"email": "ada@acme.example"}
    assert "id_token" not in again


@pytest.mark.spec(CORE, "11", "offline_access needs no openid where an action of a resource is asked for")
def test_offline_access_beside_an_action_needs_no_sign_in(at: Desk) -> None:
    body = redeemed(at, scope=f"{READ} offline_access")
    assert {"refresh_token", "access_token"} <= body.keys()
    assert "id_token" not in body


@pytest.mark.spec(CORE, "5.4", "who does not agree to openid agrees to nothing that it would tell")
def test_who_takes_openid_away_takes_name_and_address_along(at: Desk) -> None:
    body = redeemed(at, ticked=[READ, "email", "profile"], scope=f"{READ} openid email profile")
    assert AuthorizationCode.objects.get().scope == READ
    assert "id_token" not in body


def test_a_sign_in_without_openid_leaves_nothing_to_agree_to(at: Desk) -> None:
    at.asked = {"scope": "openid email offline_access"} | SIGN_IN
    assert at.answers(at.pushed(), scope=["email", "offline_access"]).status_code == 422
    assert not AuthorizationCode.objects.exists()
    assert not DelegationGrant.objects.exists()
