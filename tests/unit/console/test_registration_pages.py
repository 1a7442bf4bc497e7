"""Pages about clients that registered themselves, about trust rules, and about what a resource tells its callers."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.client_models import ClientRegistration, TrustRule
from aims.identifier.models import Agent, Resource
from aims.identifier.services import RegisterResource, register_resource
from aims.kit import clock
from aims.people.models import User
from tests.protocol.registration.desk import Desk
from tests.support.cast import browser_of
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db
HERE = "/agents/registrations/"


@pytest.fixture
def held(db: None) -> dict[str, Any]:
    return Desk().registered(client_name="Nimble\u202e<b>", logo_uri="https://evil.example/pixel.png")


def row() -> ClientRegistration:
    return ClientRegistration.objects.get()


def form(answers: User, **changed: str) -> dict[str, str]:
    return {
        "name": "Nimble", "purpose": "Sorts mail", "contact": "ops@acme.example", "owner": answers.ref,
    } | changed  # fmt: skip


def test_the_list_of_agents_says_who_waits(held: dict[str, Any], adm: User, ada: User) -> None:
    assert "1 client waits to be admitted." in browser_of(adm).get("/agents/").text
    assert "waits to be admitted" not in browser_of(ada).get("/agents/").text


def test_the_page_shows_what_it_says_and_fetches_nothing_of_it(held: dict[str, Any], adm: User) -> None:
    page = browser_of(adm).get(f"{HERE}{row().ref}/").text
    assert "app.example" in page and "U+202E" in page and "&lt;b&gt;" in page
    assert "evil.example" not in page  # no picture of theirs


def test_an_admin_admits_it_under_a_name_of_ours(held: dict[str, Any], adm: User, ada: User) -> None:
    answer = browser_of(adm).post(f"{HERE}{row().ref}/", form(ada))
    agent = Agent.objects.get()
    assert answer.status_code == 302 and answer["Location"] == f"/agents/{agent.ref}/"
    assert (agent.identifier, agent.owner, agent.name) == (held["client_id"], ada, "Nimble")
    again = browser_of(adm).post(f"{HERE}{row().ref}/", form(ada))
    assert again.status_code in (200, 302) and Agent.objects.count() == 1


@pytest.mark.parametrize("wrong", [{"name": ""}, {"owner": "usr_nobody"}, {"purpose": "x" * 401}])
def test_a_form_that_is_wrong_admits_nobody(held: dict[str, Any], adm: User, ada: User, wrong: dict[str, str]) -> None:
    assert browser_of(adm).post(f"{HERE}{row().ref}/", form(ada, **wrong)).status_code == 422
    assert not Agent.objects.exists()


def test_only_an_admin_sees_or_admits(held: dict[str, Any], ada: User, ben: User, cy: User) -> None:
    for person in (ada, ben, cy):
        for path in (HERE, f"{HERE}{row().ref}/", f"{HERE}{row().ref}/refuse/", "/agents/trust-rules/"):
            assert browser_of(person).get(path).status_code == 403
            assert browser_of(person).post(path, form(ada)).status_code in (403, 405)
    assert not Agent.objects.exists() and row().state == "quarantined"


def test_an_admin_refuses_it_and_says_why(held: dict[str, Any], adm: User) -> None:
    browser_of(adm).post(f"{HERE}{row().ref}/refuse/", {"reason": "Nobody knows it."})
    assert (row().state, row().state_reason) == ("refused", "Nobody knows it.")
    assert "Nobody knows it." in browser_of(adm).get(f"{HERE}{row().ref}/").text
    assert "Nobody waits" in browser_of(adm).get(HERE).text
    assert "app.example" in browser_of(adm).get(f"{HERE}?state=refused").text


def test_a_changed_client_shows_what_changed_and_goes_on(held: dict[str, Any], adm: User, ada: User) -> None:
    browser_of(adm).post(f"{HERE}{row().ref}/", form(ada))
    desk = Desk()
    desk.manage("PUT", held, desk.rewritten(held, redirect_uris=["https://elsewhere.example/"]))
    page = browser_of(adm).get(f"{HERE}{row().ref}/").text
    assert "It was admitted, and changed since." in page and "https://elsewhere.example/" in page
    assert Agent.objects.get().state == "suspended"
    browser_of(adm).post(f"{HERE}{row().ref}/")
    assert (Agent.objects.get().state, row().state) == ("active", "admitted")


def test_a_rule_is_added_and_ended(adm: User, ada: User) -> None:
    rule = {"kind": "redirect_host", "value": "app.example", "owner": ada.ref}
    assert browser_of(adm).post("/agents/trust-rules/", rule).status_code == 302
    assert browser_of(adm).post("/agents/trust-rules/", rule).status_code == 422
    made = TrustRule.objects.get()
    assert "app.example" in browser_of(adm).get("/agents/trust-rules/").text
    browser_of(adm).post(f"/agents/trust-rules/{made.ref}/end/")
    made.refresh_from_db()
    assert made.ended_at is not None


def test_a_resource_shows_what_to_serve(pay: Resource, cy: User) -> None:
    page = browser_of(cy).get(f"/resources/{pay.ref}/metadata/").text
    assert "https://pay.example/.well-known/oauth-protected-resource" in page and "insufficient_scope" in page
    file = browser_of(cy).get(f"/resources/{pay.ref}/metadata.json")
    assert file.json()["resource"] == "https://pay.example/" and "attachment" in file["Content-Disposition"]


def test_a_resource_without_an_address_shows_none(cy: User) -> None:
    made = register_resource(RegisterResource(identifier="urn:x:tool", name="Tool"), by=BY, now=clock.now())
    assert "no address" in browser_of(cy).get(f"/resources/{made.ref}/metadata/").text
    assert browser_of(cy).get(f"/resources/{made.ref}/metadata.json").status_code == 404
