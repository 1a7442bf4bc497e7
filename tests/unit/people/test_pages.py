"""The pages of people: the way in, one's own page, and what the wrong person may not do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from aims.kit import clock
from aims.people import services, throttle
from aims.people.models import Invitation, Passkey, SignedInSession
from tests.unit.people.driver import BY, an_authenticator, browser_of, enrolled

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.unit.people.urls")]


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_a_link_is_opened_used_and_signs_in() -> None:
    token = services.invite("ada@example.org", roles=["admin"], name="Ada", by=BY, now=clock.now())
    client = Client()
    page = client.get(f"/join/{token}/")
    assert page.status_code == 200
    assert page["Referrer-Policy"] == "no-referrer"
    options = client.post(f"/join/{token}/begin/").json()
    answer = json.dumps(an_authenticator().create(options))
    form = {"credential": answer, "name": "Ada L.", "time_zone": "Europe/Berlin", "key_name": "Laptop"}
    assert client.post(f"/join/{token}/finish/", form).json() == {"next": "/"}
    assert b"Ada L." in client.get("/me/").content
    assert client.get(f"/join/{token}/").status_code == 410


def test_opening_a_link_changes_nothing() -> None:
    token = services.invite("ada@example.org", by=BY, now=clock.now())
    for _ in range(3):
        assert Client().get(f"/join/{token}/").status_code == 200
    assert Invitation.objects.get().used_at is None


def test_a_made_up_link_explains_itself() -> None:
    answer = Client().get("/join/nonsense/")
    assert answer.status_code == 410
    assert b"24 hours" in answer.content


@pytest.mark.parametrize("path", ["/me/", "/me/passkeys/", "/me/sessions/", "/people/", "/people/invite/"])
def test_a_stranger_is_sent_to_sign_in_and_back(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")


@pytest.mark.parametrize("path", ["/people/", "/people/invite/"])
@pytest.mark.parametrize("role", ["approver", "owner", "auditor"])
def test_only_admins_see_people(path: str, role: str) -> None:
    assert browser_of(enrolled("ben@example.org", role)).get(path).status_code == 403


def test_nobody_but_an_admin_changes_a_role() -> None:
    ben, ada = enrolled("ben@example.org", "auditor"), enrolled("ada@example.org")
    answer = browser_of(ben).post(f"/people/{ben.person.ref}/roles/", {"role": "admin", "change": "give"})
    assert answer.status_code == 403
    assert not ben.person.has_role("admin")
    assert browser_of(ben).post(f"/people/{ada.person.ref}/recover/").status_code == 403


def test_an_admin_sees_gives_and_ends() -> None:
    admin, cy = browser_of(enrolled("adm@example.org", "admin")), enrolled("cy@example.org")
    for path in ("/people/", "/people/invite/", f"/people/{cy.person.ref}/"):
        assert admin.get(path).status_code == 200
    admin.post(f"/people/{cy.person.ref}/roles/", {"role": "approver", "change": "give"})
    assert cy.person.has_role("approver")
    admin.post("/people/groups/", {"slug": "finance", "name": "Finance"})
    admin.post(f"/people/{cy.person.ref}/groups/", {"group": "finance", "change": "join"})
    assert b"finance" in admin.get(f"/people/{cy.person.ref}/").content
    link = admin.post(f"/people/{cy.person.ref}/recover/")
    assert b"/join/" in link.content
    assert link["Referrer-Policy"] == "no-referrer"
    admin.post(f"/people/{cy.person.ref}/passkeys/{cy.key.ref}/end/")
    cy.key.refresh_from_db()
    assert cy.key.ended_at is not None


def test_an_invitation_is_shown_once() -> None:
    admin = browser_of(enrolled("adm@example.org", "admin"))
    form = {"email": "new@example.org", "name": "New", "roles": ["approver"]}
    assert b"/join/" in admin.post("/people/invite/", form).content
    assert b"/join/" not in admin.get("/people/invite/").content


def test_my_page_shows_keys_and_sessions_and_ends_them() -> None:
    ada = enrolled()
    here, there = browser_of(ada), browser_of(ada)
    assert b"only passkey" in here.get("/me/passkeys/").content
    assert here.get("/me/sessions/").content.count(b"End this session") == 2
    other = SignedInSession.objects.exclude(session_key=here.session.session_key).get()
    here.post(f"/me/sessions/{other.ref}/end/")
    assert there.get("/me/").status_code == 302
    assert here.get("/me/").status_code == 200


def test_the_last_key_stays_and_the_page_says_why() -> None:
    ada = enrolled()
    answer = browser_of(ada).post(f"/me/passkeys/{ada.key.ref}/end/")
    assert answer.status_code == 409
    assert b"no way back in" in answer.content


def test_other_peoples_keys_and_sessions_are_not_there() -> None:
    ada, cy = enrolled(), enrolled("cy@example.org")
    browser, theirs = browser_of(ada), browser_of(cy)
    session = SignedInSession.objects.get(person=cy.person)
    assert browser.post(f"/me/passkeys/{cy.key.ref}/end/").status_code == 404
    assert browser.post(f"/me/passkeys/{cy.key.ref}/rename/", {"key_name": "mine"}).status_code == 404
    assert browser.post(f"/me/sessions/{session.ref}/end/").status_code == 404
    assert theirs.get("/me/").status_code == 200


def test_a_second_key_is_added_through_the_page() -> None:
    ada = enrolled()
    browser = browser_of(ada)
    options = browser.post("/me/passkeys/begin/").json()
    form = {
        "assertion": json.dumps(ada.authenticator.get(options["get"])),
        "credential": json.dumps(an_authenticator().create(options["create"])),
        "key_name": "Phone",
    }
    assert browser.post("/me/passkeys/finish/", form).json() == {"next": "/me/passkeys/"}
    assert Passkey.objects.filter(person=ada.person, ended_at=None).count() == 2
    assert browser.post(f"/me/passkeys/{ada.key.ref}/end/").status_code == 302


def test_signing_out_ends_the_session() -> None:
    browser = browser_of(enrolled())
    browser.post("/sign-out/")
    assert browser.get("/me/").status_code == 302
    assert not SignedInSession.objects.exists()


def test_a_deactivated_person_is_out_at_once() -> None:
    ada = enrolled()
    browser = browser_of(ada)
    services.deactivate(ada.person, by=BY, now=clock.now())
    assert browser.get("/me/").status_code == 302


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_never_sends_people_elsewhere(wanted: str) -> None:
    client = Client()
    options = client.post("/sign-in/begin/").json()
    answer = json.dumps(enrolled().authenticator.get(options))
    assert client.post("/sign-in/finish/", {"credential": answer, "next": wanted}).json() == {"next": "/"}


def test_too_many_attempts_answer_429() -> None:
    client = Client()
    for _ in range(throttle.FINISHES_PER_MINUTE):
        assert client.post("/sign-in/finish/", {"credential": "{}"}).status_code == 403
    answer = client.post("/sign-in/finish/", {"credential": "{}"})
    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_attempts"


def test_the_posts_of_the_ceremony_are_protected_against_forgery() -> None:
    client = Client(enforce_csrf_checks=True)
    for path in ("/sign-in/begin/", "/sign-in/finish/", "/join/token/begin/", "/me/passkeys/begin/"):
        assert client.post(path).status_code == 403


def test_a_page_that_hides_where_one_comes_from_has_no_form_that_a_browser_sends() -> None:
    """With ``no-referrer`` it would go out with ``Origin: null`` and be refused; what a script sends has its origin."""
    token = services.invite("new@example.org", by=BY, now=clock.now())
    admin = browser_of(enrolled("adm@example.org", "admin"))
    form = {"email": "next@example.org", "name": "Next", "roles": ["approver"]}
    for page in (Client().get(f"/join/{token}/"), admin.post("/people/invite/", form)):
        assert page["Referrer-Policy"] == "no-referrer"
        rest = re.sub(r"(?s)<passkey-ceremony.*?</passkey-ceremony>", "", page.content.decode())
        assert [form for form in re.findall(r"<form[^>]*>", rest) if 'method="dialog"' not in form] == []
