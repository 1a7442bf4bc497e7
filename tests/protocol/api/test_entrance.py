"""Who gets in: our own access tokens for this API, and nothing else. Spec: RFC 6750, RFC 9068 §4."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings
from joserfc.jwk import ECKey

from aims.authentication import dpop
from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.services import agents as stopping
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.authorization.services.grants import revoke_grant
from aims.console.management import audience
from aims.credentials import services as credentials
from aims.kit import clock, jose
from audit.models import FailureCount
from tests.protocol.api.conftest import ALL, Desk, problem_of, recorded
from tests.support.domain import Domain
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db
ALGS = " ".join(sorted(dpop.ALGORITHMS))


def test_a_granted_scope_opens_the_api(desk: Desk) -> None:
    answer = desk.get("agents/")
    assert answer.status_code == 200
    assert {row["name"] for row in answer.json()["items"]} == {"Courier", "Steward"}
    assert answer["Cache-Control"] == "no-store" and not answer.cookies


def test_without_a_token_the_challenge_names_no_error(desk: Desk) -> None:
    answer = desk.get("agents/", token="")
    assert problem_of(answer)[0] == 401
    where = f"{settings.ISSUER}/.well-known/oauth-protected-resource/api/v1/"
    said = f'Bearer realm="{settings.ISSUER}", resource_metadata="{where}", DPoP algs="{ALGS}", resource_metadata="{where}"'
    assert answer["WWW-Authenticate"] == said


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 20_000, "é"])
def test_what_is_no_token_is_refused_and_counted(desk: Desk, token: str) -> None:
    answer = desk.get("agents/", token=token)
    assert problem_of(answer) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert FailureCount.objects.filter(code="invalid_token").exists()


def test_a_token_for_another_resource_is_refused(desk: Desk) -> None:
    other = desk.stage.courier.token(scope="accounts.read").json()["access_token"]
    assert problem_of(desk.get("agents/", token=other)) == (401, "invalid_token")


def test_an_expired_token_is_refused(desk: Desk) -> None:
    with clock.shifted(timedelta(minutes=6)):
        assert problem_of(desk.get("agents/"))[0] == 401


def test_a_revoked_token_is_refused(desk: Desk) -> None:
    form = desk.steward.signed({"token": desk.token})
    assert desk.steward.post("/oauth/revoke", form).status_code == 200
    assert problem_of(desk.get("agents/"))[0] == 401


def test_a_suspended_agents_token_is_refused(desk: Desk) -> None:
    stopping.suspend_agent(desk.agent, reason="odd", by="cli:test", now=clock.now())
    AccessToken.objects.update(revoked_at=None)
    assert problem_of(desk.get("agents/"))[0] == 401


def test_a_token_that_we_did_not_sign_is_refused(desk: Desk) -> None:
    header, claims = jose.parse(desk.token, algorithms=frozenset({"ES256"}), typ=("at+jwt",)).header, {}
    claims = dict(jose.parse(desk.token, algorithms=frozenset({"ES256"}), typ=("at+jwt",)).claims)
    forged = jose.sign(claims, key=ECKey.generate_key("P-256"), typ="at+jwt", kid=header["kid"], algorithm="ES256")
    assert problem_of(desk.get("agents/", token=forged))[0] == 401


def test_a_session_is_no_token(desk: Desk) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(desk.stage.ada, backend="aims.people.backend.PasskeyBackend")
    assert browser.get("/api/v1/agents/").status_code == 401


def test_a_token_in_the_query_is_not_looked_at(desk: Desk) -> None:
    assert desk.get(f"agents/?access_token={desk.token}", token="").status_code == 401


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("manage.resources", "agents/"),
        ("manage.agents", "resources/"),
        ("read.audit", "approval-requests/"),
        ("read.requests", "audit-entries/"),
        ("manage.people", "grants/"),
        ("manage.grants", "people/"),
        ("manage.agents", "policies/"),
    ],
)
def test_a_scope_opens_its_own_door_only_and_the_refusal_is_recorded(desk: Desk, scope: str, path: str) -> None:
    answer = desk.get(path, token=desk.issue(scope))
    assert problem_of(answer) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]
    assert recorded("console.call.refused")


def test_reading_the_requests_is_all_that_can_be_done_with_them(desk: Desk) -> None:
    assert desk.get("approval-requests/").status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert desk.call(method, "approval-requests/", {}).status_code in {403, 405}
        assert desk.call(method, "approval-requests/apr_x/", {}).status_code in {403, 405}


@pytest.mark.parametrize("path", ["approval-requests/apr_x/approve/", "people/usr_x/passkeys/", "nothing/", ""])
def test_nothing_decides_or_enrols_here(desk: Desk, path: str) -> None:
    assert problem_of(desk.post(path, {})) == (404, "not_found")


def test_without_a_grant_there_is_no_scope(desk: Desk) -> None:
    for grant in DelegationGrant.objects.filter(agent=desk.agent):
        revoke_grant(grant, by="cli:test", now=clock.now())
    assert desk.steward.token(resource=f"{settings.ISSUER}/api/v1/", scope=ALL).json()["error"] == "access_denied"


def test_the_schema_is_public_and_the_reader_is_for_people(desk: Desk) -> None:
    answer = Client().get("/api/schema/")
    assert answer.status_code == 200 and answer.json()["openapi"].startswith("3.1")
    assert Client().get("/api/docs/").status_code == 302
    person = Client()
    person.force_login(desk.stage.ada, backend="aims.people.backend.PasskeyBackend")
    page = person.get("/api/docs/")
    assert page.status_code == 200 and "/api/v1/agents/{ref}/suspend/" in page.text


@pytest.mark.spec("RFC 8705", "3", "a token bound to a certificate is good with that certificate only")
@override_settings(CLIENT_CERT_PROXIES=["10.0.0.7"])
def test_a_token_bound_to_a_certificate_needs_that_certificate(desk: Desk) -> None:
    domain, me = Domain(), desk.steward.client_id
    credentials.set_bundle(desk.agent.trust_domain, domain.bundle(), by=BY, now=clock.now())
    configure_client(desk.agent, ClientSettings(auth_method="spiffe_x509"), by=BY, now=clock.now())
    shown, another = domain.svid(me), domain.svid(me)
    form = {"grant_type": "client_credentials", "client_id": me, "resource": audience(), "scope": "manage.agents"}
    issued = desk.steward.post("/oauth/token", form, REMOTE_ADDR="10.0.0.7", **shown.headers)
    token = issued.json()["access_token"]

    def status(**extra: Any) -> int:
        return int(desk.get("agents/", token=token, **extra).status_code)

    assert status(REMOTE_ADDR="10.0.0.7", **shown.headers) == 200
    assert status(REMOTE_ADDR="10.0.0.7", **another.headers) == 401
    assert status(REMOTE_ADDR="10.0.0.8", **shown.headers) == 401
    assert status() == 401
