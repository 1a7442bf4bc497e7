"""Trust bundles and authentication methods at the pages and in a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from aims.authorization.models import Application
from aims.authorization.services.clients import ClientSettings, configure_client, settings_of
from aims.console.configuration.document import ConfigurationRefused
from aims.console.configuration.run import apply, plan
from aims.credentials.models import TrustBundle
from aims.credentials.queries import bundle_of
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.models import User
from tests.support.cast import DOMAIN, Acting, browser_of
from tests.support.domain import Domain
from tests.support.oauth_client import BY
from tests.unit.console.test_apply import a_file, ctx
from tests.unit.console.test_registering_pages import as_shown, fields_wrong

pytestmark = pytest.mark.django_db
PATH = f"/agents/trust-domains/{DOMAIN}/"


@pytest.fixture
def admin(adm: User, pay: Resource) -> Browser:
    return browser_of(adm)


def test_a_bundle_is_given_shown_and_forgotten(admin: Browser) -> None:
    assert "No bundle yet" in admin.get(PATH).text
    page = admin.post(PATH, {"bundle": json.dumps(Domain().bundle())}, follow=True)
    assert f"Saved: what vouches for {DOMAIN}." in page.text
    assert "For JWT-SVIDs" in page.text
    again = admin.post(PATH, as_shown(page), follow=True)
    assert "nothing was written" in again.text
    assert "Nothing vouches" in admin.post(f"{PATH}drop-bundle/", follow=True).text
    assert bundle_of(DOMAIN) is None


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"bundle": "{"}, "bundle"),
        ({"bundle": '{"keys": 1}'}, "bundle"),
        ({"bundle": '{"keys": [], "keys": []}'}, "bundle"),
        ({"endpoint_url": "http://bundles.example/"}, "endpoint_url"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(admin: Browser, form: dict[str, str], field: str) -> None:
    answer = admin.post(PATH, form)
    assert (answer.status_code, fields_wrong(answer)) == (422, {field})
    assert not TrustBundle.objects.exists()


def test_an_older_bundle_is_refused_with_its_reason(admin: Browser) -> None:
    admin.post(PATH, {"bundle": json.dumps(Domain().bundle(spiffe_sequence=5))})
    answer = admin.post(PATH, {"bundle": json.dumps(Domain().bundle(spiffe_sequence=4))})
    assert "not above 5" in answer.text


def test_only_admins_see_and_change_bundles(ada: User, ben: User, cy: User, pay: Resource) -> None:
    for person in (ada, ben, cy):
        assert browser_of(person).get(PATH).status_code == 403
        assert browser_of(person).post(PATH, {"bundle": '{"keys": []}'}).status_code == 403
        assert browser_of(person).post(f"{PATH}drop-bundle/").status_code == 403
    assert browser_of(None).get(PATH).status_code == 302
    assert not TrustBundle.objects.exists()


def test_an_unknown_domain_has_no_page(admin: Browser) -> None:
    for name in ("nowhere.example", "%00"):
        assert admin.get(f"/agents/trust-domains/{name}/").status_code == 404


def test_a_failed_fetch_is_said(admin: Browser, courier: Acting) -> None:
    TrustBundle.objects.create(
        trust_domain=courier.agent.trust_domain, endpoint_url="https://b.example/", failure="status"
    )
    assert "could not be fetched" in admin.get(PATH).text


def test_an_agent_gets_another_method_and_its_stack_says_so(admin: Browser, courier: Acting) -> None:
    path = reverse("agent-edit", args=[courier.agent.ref])
    form = as_shown(admin.get(path)) | {"auth_method": "spiffe_x509"}
    page = admin.post(path, form, follow=True)
    assert "Nobody vouches" in page.text
    admin.post(PATH, {"bundle": json.dumps(Domain().bundle())})
    shown = admin.get(reverse("agent", args=[courier.agent.ref])).text
    assert "X.509-SVID of its trust domain" in shown
    assert "Nobody vouches" not in shown


def test_a_certificates_name_goes_with_its_method(admin: Browser, courier: Acting) -> None:
    path = reverse("agent-edit", args=[courier.agent.ref])
    shown = as_shown(admin.get(path))
    assert admin.post(path, shown | {"auth_method": "tls_client_auth"}).status_code == 422
    named = {"auth_method": "tls_client_auth", "tls_name": "san_dns", "tls_value": "courier.acme.example"}
    assert admin.post(path, shown | named).status_code == 302
    assert settings_of(courier.agent).tls_value == "courier.acme.example"
    back = as_shown(admin.get(path)) | {"auth_method": "private_key_jwt"}
    assert admin.post(path, back).status_code == 302
    assert settings_of(courier.agent) == ClientSettings()


def test_saving_a_public_client_leaves_it_public(admin: Browser, courier: Acting) -> None:
    configure_client(courier.agent, ClientSettings(dpop_bound=True), by=BY, now=clock.now())
    Application.objects.filter(agent=courier.agent).update(token_endpoint_auth_method="none")
    path = reverse("agent-edit", args=[courier.agent.ref])
    assert admin.post(path, as_shown(admin.get(path)) | {"name": "Other"}).status_code == 302
    assert settings_of(courier.agent).auth_method == "none"


def a_domain(**members: Any) -> bytes:
    return a_file(trust_domains=[{"name": "acme.example"} | members])


def test_a_file_gives_the_bundle_and_the_method() -> None:
    apply(a_file(), ctx())
    bundle = Domain().bundle()
    file = a_domain(bundle=bundle, bundle_endpoint_url="https://bundles.acme.example/")
    assert [change.what for change in plan(file, ctx())] == ["bundle", "where its bundle is fetched"]
    apply(file, ctx())
    assert plan(file, ctx()) == []
    assert TrustBundle.objects.get().endpoint_url == "https://bundles.acme.example/"
    document = json.loads(a_file())
    agent = document["agents"][0]
    agent |= {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "courier.acme.example"}
    apply(json.dumps(document).encode(), ctx())
    held = settings_of(Agent.objects.get())
    assert (held.auth_method, held.tls_name, held.tls_value) == ("tls_client_auth", "san_dns", "courier.acme.example")
    assert plan(json.dumps(document).encode(), ctx()) == []
    agent["tls_client_auth_san_uri"] = "https://courier.acme.example/"
    with pytest.raises(AimsError):
        apply(json.dumps(document).encode(), ctx())


def test_a_file_names_no_method_that_needs_a_secret() -> None:
    document = json.loads(a_file())
    document["agents"][0]["token_endpoint_auth_method"] = "client_secret_basic"
    with pytest.raises(ConfigurationRefused):
        apply(json.dumps(document).encode(), ctx())
