"""Pages that change agents and resources: who may, what is said at which field, what is written, what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from joserfc.jwk import ECKey

from aims.authorization.models import Application, DelegationGrant
from aims.credentials.queries import jwks_uri_of, registered_keys_of
from aims.identifier.models import Agent, Resource, TrustDomain
from aims.people import services as people
from aims.people.models import User
from audit.models import InboxRow
from tests.support.cast import DOMAIN, Acting, browser_of
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db


def a_jwks() -> str:
    return json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]})


def a_form(owner: User, **changes: str) -> dict[str, str]:
    return {
        "identifier": f"spiffe://{DOMAIN}/agent/kestrel",
        "name": "Kestrel",
        "purpose": "Merges",
        "contact": "ops",
        "owner": owner.ref,
        "jwks": a_jwks(),
    } | changes


def as_shown(page: Any) -> dict[str, Any]:
    """Return what a browser would post if nothing were changed."""
    form = page.context["form"]
    return {name: value for name in form.fields if (value := form[name].value()) not in (None, "")}


def fields_wrong(page: Any) -> set[str]:
    return set(page.context["form"].errors)


def test_a_registered_agent_has_its_keys_and_its_client_row(adm: User, ada: User, pay: Resource) -> None:
    form = a_form(ada, delivery="ping", endpoint="https://kestrel.example/ping", signing_alg="ES256")
    page = browser_of(adm).post("/agents/new/", form, follow=True)
    agent = Agent.objects.get()
    client = Application.objects.get(agent=agent)
    assert client.backchannel_token_delivery_mode == "ping" and client.client_secret == ""
    assert client.backchannel_authentication_request_signing_alg == "ES256"
    assert len(registered_keys_of(agent.ref)) == 1
    assert "Kestrel is registered." in page.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"identifier": "spiffe://elsewhere.example/a"}, "identifier"),
        ({"identifier": "https://acme.example/a"}, "identifier"),
        ({"owner": "usr_none"}, "owner"),
        ({"jwks": "{"}, "jwks"),
        ({"jwks": '{"keys": [], "keys": []}'}, "jwks"),
        ({"jwks": '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}, "jwks"),
        ({"jwks_uri": "https://kestrel.example/jwks"}, "jwks_uri"),
        ({"jwks": "", "jwks_uri": "http://kestrel.example/jwks"}, "jwks_uri"),
        ({"delivery": "ping"}, "endpoint"),
        ({"delivery": "ping", "endpoint": "ftp://kestrel.example/"}, "endpoint"),
        ({"delivery": "push"}, "delivery"),
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_made(
    adm: User, ada: User, pay: Resource, change: dict[str, str], field: str
) -> None:
    entries = InboxRow.objects.count()
    page = browser_of(adm).post("/agents/new/", a_form(ada) | change)
    assert page.status_code == 422
    assert fields_wrong(page) == {field}
    assert not Agent.objects.exists() and InboxRow.objects.count() == entries


def test_a_form_that_is_posted_as_it_was_shown_writes_nothing(ada: User, courier: Acting) -> None:
    browser, path = browser_of(ada), reverse("agent-edit", args=[courier.agent.ref])
    browser.post(path, as_shown(browser.get(path)))  # makes the client row that the cast has not
    entries = InboxRow.objects.count()
    page = browser.post(path, as_shown(browser.get(path)), follow=True)
    assert "nothing was written" in page.text
    assert InboxRow.objects.count() == entries


def test_an_owner_changes_texts_groups_keys_and_delivery(ada: User, courier: Acting) -> None:
    group = people.create_group(slug="finance", name="Finance", by=BY, now=courier.agent.registered_at)
    browser, path = browser_of(ada), reverse("agent-edit", args=[courier.agent.ref])
    change = {"contact": "new", "groups": ["finance"], "jwks": "", "jwks_uri": "https://courier.example/jwks"}
    page = browser.post(path, as_shown(browser.get(path)) | change, follow=True)
    assert "Saved: contact, groups, keys, address of the keys, delivery." in page.text
    courier.agent.refresh_from_db()
    assert courier.agent.contact == "new" and list(courier.agent.related_groups.all()) == [group]
    assert registered_keys_of(courier.agent.ref) == []
    assert jwks_uri_of(courier.agent.ref) == "https://courier.example/jwks"


def test_an_identifier_that_is_posted_anyway_changes_nothing(ada: User, courier: Acting) -> None:
    browser, path = browser_of(ada), reverse("agent-edit", args=[courier.agent.ref])
    browser.post(path, as_shown(browser.get(path)) | {"identifier": f"spiffe://{DOMAIN}/agent/other"})
    assert Agent.objects.get().identifier == courier.agent.identifier


def test_a_form_that_is_older_than_the_agent_brings_no_key_back(ada: User, adm: User, courier: Acting) -> None:
    path = reverse("agent-edit", args=[courier.agent.ref])
    old = as_shown(browser_of(adm).get(path))
    browser_of(ada).post(path, old | {"jwks": a_jwks()})
    held = registered_keys_of(courier.agent.ref)
    page = browser_of(adm).post(path, old | {"contact": "late"})
    assert page.status_code == 422 and "after you opened the form" in page.text
    assert registered_keys_of(courier.agent.ref) == held


def test_an_agent_goes_to_another_owner_after_a_question(ada: User, cy: User, courier: Acting) -> None:
    browser, path = browser_of(ada), reverse("agent-owner", args=[courier.agent.ref])
    asked = browser.get(path, {"owner": cy.ref})
    assert "Give Courier to Cy?" in asked.text and Agent.objects.get().owner == ada
    assert browser.get(path, {"owner": ada.ref}).status_code == 422
    page = browser.post(path, {"owner": cy.ref}, follow=True)
    assert "Cy answers for Courier now." in page.text
    assert Agent.objects.get().owner == cy
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize("verb", ["edit", "owner", "suspend", "resume", "stop", "retire"])
def test_who_does_not_answer_for_an_agent_changes_nothing(cy: User, ben: User, courier: Acting, verb: str) -> None:
    entries = InboxRow.objects.count()
    path = reverse(f"agent-{verb}", args=[courier.agent.ref])
    assert browser_of(cy).post(path, {"reason": "x", "owner": cy.ref}).status_code in (403, 404)
    assert browser_of(ben).post(path, {"reason": "x", "owner": ben.ref}).status_code == 403
    assert InboxRow.objects.count() == entries


def test_a_press_is_asked_first_and_then_says_what_happened(ada: User, courier: Acting) -> None:
    browser, path = browser_of(ada), reverse("agent-stop", args=[courier.agent.ref])
    asked = browser.get(path)
    assert "1 grant is taken back" in asked.text and Agent.objects.get().state == "active"
    unsaid = browser.post(path, {"reason": ""})
    assert unsaid.status_code == 422 and "The reason is missing." in unsaid.text
    assert browser.post(path, {"reason": "odd\x00"}).status_code == 422
    page = browser.post(path, {"reason": "odd"}, follow=True)
    assert "Courier is stopped" in page.text
    assert not DelegationGrant.objects.filter(revoked_at=None).exists()
    again = browser.post(reverse("agent-suspend", args=[courier.agent.ref]), {"reason": "odd"}, follow=True)
    assert "no longer in a state that allows this" in again.text


def test_a_form_without_its_token_changes_nothing(ada: User, courier: Acting) -> None:
    strict = Browser(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    strict.force_login(ada, backend="aims.people.backend.PasskeyBackend")
    for verb in ("edit", "owner", "suspend"):
        assert strict.post(reverse(f"agent-{verb}", args=[courier.agent.ref]), {"reason": "x"}).status_code == 403
    assert Agent.objects.get().state == "active"


def lines(*rows: tuple[str, str, str, str], total: int = 0) -> dict[str, str]:
    form = {"actions-TOTAL_FORMS": str(total or len(rows)), "actions-INITIAL_FORMS": "0"}
    for at, row in enumerate(rows):
        named = zip(("name", "title", "reversibility", "detail_type"), row, strict=True)
        form |= {f"actions-{at}-{name}": value for name, value in named}
    return form


CALENDAR = {"identifier": "https://calendar.example/", "name": "Calendar", "kind": "api"}
DELETE = ("events.delete", "Delete events", "irreversible", "")


def test_a_resource_is_registered_with_its_actions_and_keys(adm: User) -> None:
    form = CALENDAR | {"jwks": a_jwks()} | lines(DELETE, ("", "", "", ""))
    page = browser_of(adm).post("/resources/new/", form, follow=True)
    resource = Resource.objects.get()
    assert "Calendar is registered." in page.text
    assert [action.name for action in resource.actions.all()] == ["events.delete"]
    assert len(registered_keys_of(resource.ref)) == 1


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (("", "Delete", "irreversible", ""), "name"),
        (("events.delete", "", "irreversible", ""), "title"),
        (("events.delete", "Delete", "", ""), "reversibility"),
        (("events.delete", "Delete", "easy", ""), "reversibility"),
    ],
)
def test_a_line_that_misses_something_says_so_there(adm: User, row: tuple[str, str, str, str], field: str) -> None:
    page = browser_of(adm).post("/resources/new/", CALENDAR | lines(row))
    assert page.status_code == 422 and field in page.context["lines"][0].errors
    assert not Resource.objects.exists()


def test_more_lines_are_added_and_nothing_is_lost_or_saved(adm: User) -> None:
    page = browser_of(adm).post("/resources/new/", {"name": "Calendar", "more": "1"} | lines(DELETE))
    assert page.status_code == 200 and not Resource.objects.exists()
    assert page.context["lines"].total_form_count() == 6
    assert page.context["lines"][0]["name"].value() == "events.delete"
    assert page.context["form"]["name"].value() == "Calendar"


def test_two_lines_of_one_name_and_a_fragment_are_refused(adm: User) -> None:
    twice = browser_of(adm).post("/resources/new/", CALENDAR | lines(DELETE, DELETE))
    assert twice.status_code == 422 and "listed twice" in twice.text
    odd = browser_of(adm).post("/resources/new/", CALENDAR | {"identifier": "https://x.example/#a"} | lines(DELETE))
    assert fields_wrong(odd) == {"identifier"}


def test_a_resource_is_changed_retired_and_taken_back(adm: User, pay: Resource) -> None:
    browser, path = browser_of(adm), reverse("resource-edit", args=[pay.ref])
    form = {"name": "Pay", "kind": "api", "seen": str(pay.version)} | lines(DELETE)
    assert "Saved: actions." in browser.post(path, form, follow=True).text
    assert [action.name for action in pay.actions.all()] == ["events.delete"]
    assert browser.post(path, form).status_code == 422  # the version has risen
    assert "is retired" in browser.post(reverse("resource-retire", args=[pay.ref]), follow=True).text
    assert "in use again" in browser.post(reverse("resource-return", args=[pay.ref]), follow=True).text


@pytest.mark.parametrize("path", ["/resources/new/", "/resources/{}/edit/", "/resources/{}/retire/"])
def test_only_admins_change_resources(ada: User, pay: Resource, path: str) -> None:
    assert browser_of(ada).post(path.format(pay.ref), CALENDAR | lines(DELETE)).status_code == 403
    pay.refresh_from_db()
    assert pay.retired_at is None and Resource.objects.count() == 1


def test_trust_domains_are_added_once_refused_and_retired(adm: User, ada: User) -> None:
    browser, path = browser_of(adm), "/agents/trust-domains/"
    assert (
        "Identifiers of partner.example are accepted."
        in browser.post(path, {"name": "Partner.example"}, follow=True).text
    )
    assert fields_wrong(browser.post(path, {"name": "10.0.0.1"})) == {"name"}
    assert browser_of(ada).post(path, {"name": "mine.example"}).status_code == 403
    assert "Its agents stay." in browser.post(f"{path}partner.example/retire/", follow=True).text
    assert browser.post(f"{path}%00/retire/").status_code == 404
    assert "was retired, for good" in browser.post(path, {"name": "partner.example"}, follow=True).text
    assert TrustDomain.objects.get().retired_at is not None
