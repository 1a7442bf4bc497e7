"""Loading a policy from the page: refused with its place, seen before it counts, recorded once."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from aims.identifier.models import Resource
from aims.kit import clock
from aims.people.models import User
from aims.policy.models import PolicyVersion
from aims.policy.services import DEFAULT_POLICY, load_policy
from audit.models import InboxRow
from tests.support.cast import browser_of
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db
TEXT = '@id("read")\n@says("Reads are free.")\npermit (principal, action, resource)\nwhen { context.has_grant };\n'


def active() -> PolicyVersion:
    return PolicyVersion.objects.get(is_active=True)


def test_a_text_is_shown_before_it_counts(adm: User, pay: Resource) -> None:
    entries = InboxRow.objects.count()
    page = browser_of(adm).post("/policies/new/", {"text": TEXT, "step": "check"})
    assert page.status_code == 200 and "Reads are free." in page.text
    assert ("yes", '+@id("read")') in page.context["diff"]
    assert active().number == 1 and InboxRow.objects.count() == entries


def test_a_text_is_put_in_force_as_it_was_seen_whatever_the_line_ends(adm: User, pay: Resource) -> None:
    sent = {"text": TEXT.replace("\n", "\r\n"), "step": "activate", "seen": "1"}
    page = browser_of(adm).post("/policies/new/", sent, follow=True)
    assert "Version 2 is in force." in page.text
    assert (active().text, active().loaded_by) == (TEXT, adm.ref)


def test_the_text_in_force_again_writes_nothing(adm: User, pay: Resource) -> None:
    entries = InboxRow.objects.count()
    sent = {"text": DEFAULT_POLICY.read_text(), "step": "activate", "seen": "1"}
    assert "in force already" in browser_of(adm).post("/policies/new/", sent, follow=True).text
    assert InboxRow.objects.count() == entries


def test_what_was_seen_against_another_version_is_shown_again(adm: User, pay: Resource) -> None:
    other = load_policy(TEXT.replace("read", "other"), by=BY, now=clock.now())
    page = browser_of(adm).post("/policies/new/", {"text": TEXT, "step": "activate", "seen": "1"})
    assert page.status_code == 409 and "came into force meanwhile" in page.text
    assert active() == other


@pytest.mark.parametrize("step", ["check", "activate"])
def test_a_wrong_text_is_refused_with_line_and_column(adm: User, pay: Resource, step: str) -> None:
    page = browser_of(adm).post(
        "/policies/new/", {"text": TEXT.replace("has_grant", "has_grand"), "step": step, "seen": "1"}
    )
    assert page.status_code == 422
    assert "Line 4, column 16:" in page.context["form"].errors["text"][0]
    assert [number for number, _words, is_wrong in page.context["excerpt"] if is_wrong] == [4]
    assert active().number == 1


def test_a_file_takes_the_place_of_the_text_and_can_be_mended_there(adm: User, pay: Resource) -> None:
    wrong = SimpleUploadedFile("p.cedar", b"permitt;")
    page = browser_of(adm).post("/policies/new/", {"text": "typed", "file": wrong})
    assert page.status_code == 422 and page.context["form"]["text"].value() == "permitt;"
    good = SimpleUploadedFile("p.cedar", TEXT.encode())
    assert "Reads are free." in browser_of(adm).post("/policies/new/", {"text": "typed", "file": good}).text


@pytest.mark.parametrize(
    ("raw", "says"), [(b"\xff\xfe", "UTF-8"), (b"", "empty"), (b"/" * (256 * 1024 + 1), "longer than 256 KiB")]
)
def test_a_file_that_is_no_policy_is_refused(adm: User, pay: Resource, raw: bytes, says: str) -> None:
    page = browser_of(adm).post("/policies/new/", {"text": "", "file": SimpleUploadedFile("p", raw)})
    assert page.status_code == 422 and says in str(page.context["form"].errors["file"])


def test_an_empty_text_is_refused(adm: User, pay: Resource) -> None:
    assert browser_of(adm).post("/policies/new/", {"text": " \n"}).status_code == 422


def test_an_older_version_comes_back_under_its_number(adm: User, pay: Resource) -> None:
    load_policy(TEXT, by=BY, now=clock.now())
    browser = browser_of(adm)
    assert browser.get("/policies/new/?from=1").context["form"]["text"].value() == DEFAULT_POLICY.read_text()
    assert "This text was version 1." in browser.post("/policies/new/", {"text": DEFAULT_POLICY.read_text()}).text
    browser.post("/policies/new/", {"text": DEFAULT_POLICY.read_text(), "step": "activate", "seen": "2"})
    assert active().number == 1


@pytest.mark.parametrize("step", ["check", "activate"])
def test_only_admins_load(ada: User, ben: User, cy: User, pay: Resource, step: str) -> None:
    for person in (ada, ben, cy):
        assert browser_of(person).post("/policies/new/", {"text": TEXT, "step": step, "seen": "1"}).status_code == 403
    assert active().number == 1


def test_the_first_policy_of_a_place_is_loaded_from_the_page(adm: User) -> None:
    page = browser_of(adm).post("/policies/new/", {"text": TEXT})
    assert "this would be the first" in page.text
    browser_of(adm).post("/policies/new/", {"text": TEXT, "step": "activate", "seen": "0"})
    assert active().number == 1
    assert browser_of(adm).get("/policies/7/").status_code == 404
