"""The pages of keeping, and of personal values: asked by one, signed by another, done once; shown to who says why."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from aims.compliance.models import Consent
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from audit.keeping import commitment, keystore, state
from audit.keeping.models import Erasure, Hold, PersonalValue
from audit.models import Entry, InboxRow
from audit.sequencer import Sequencer
from tests.support.log import log_key, sequencer, written_once
from tests.unit.compliance.test_consents import confirm, somebody
from tests.unit.people.driver import Somebody, browser_of

__all__ = ["log_key", "sequencer", "written_once"]
PAGE = "/compliance/keeping/"
EMAIL = "zoe@example.org"


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, settings: Settings) -> Iterator[None]:
    settings.PERSON_KEYS = str(tmp_path / "keys.sqlite3")
    settings.EXPORT_DIR = str(tmp_path / "exports")
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def adm(db: None) -> Somebody:
    return somebody("adm", "admin")


@pytest.fixture
def bo(db: None) -> Somebody:
    return somebody("bo", "admin")


@pytest.fixture
def ben(db: None) -> Somebody:
    return somebody("ben", "auditor")


@pytest.fixture
def zoe(db: None) -> User:
    return people.create_person(email=EMAIL, name="Zoë", by="cli:op", now=clock.now())


def _said(kind: str) -> list[dict[str, Any]]:
    raws = [bytes(row.payload) for row in InboxRow.objects.all()] + [bytes(row.canon) for row in Entry.objects.all()]
    return [entry["data"] for entry in map(json.loads, raws) if entry["type"] == kind]


def _agreed_and_done(browser: Client, other: Somebody, path: str) -> int:
    consent = Consent.objects.get(ref=path.rstrip("/").rpartition("/")[2])
    page = browser.get(path).content.decode()
    assert "Do it now" not in page
    assert browser.post(f"{path}do/").status_code == 409
    confirm(consent, other)
    assert "Do it now" in browser.get(path).content.decode()
    return browser.post(f"{path}do/").status_code


def test_a_person_is_erased_from_the_page_with_a_second_admin(adm: Somebody, bo: Somebody, zoe: User) -> None:
    browser = browser_of(adm)
    assert "There is no way back" in browser.get(f"{PAGE}erase/").content.decode()
    asked = browser.post(f"{PAGE}erase/", {"person": EMAIL, "basis": "request", "reason": "request", "note": ""})
    path = asked.headers["Location"]
    assert path.startswith("/compliance/consents/")
    assert zoe.ref in browser.get(path).content.decode()
    assert _agreed_and_done(browser, bo, path) == 302
    assert Erasure.objects.get().person == zoe.ref
    assert keystore.key_of(zoe.ref) is None
    page = browser.get(PAGE).content.decode()
    assert zoe.ref in page and "key destroyed" in page
    assert browser.post(f"{path}do/").status_code == 409  # once


@pytest.mark.parametrize("who", ["", "nobody@example.org", "usr_nobody", "x" * 255])
def test_who_is_not_there_can_not_be_erased(adm: Somebody, who: str) -> None:
    given = {"person": who, "basis": "request", "reason": "request"}
    assert browser_of(adm).post(f"{PAGE}erase/", given).status_code == 422
    assert not Consent.objects.exists()


def test_a_hold_is_placed_at_once_says_what_it_blocks_and_needs_a_second_person_to_go(
    adm: Somebody, ben: Somebody, zoe: User
) -> None:
    browser = browser_of(adm)
    given = {"kind": "person", "person": zoe.ref, "reason": "Case 17 <b>"}
    assert browser.post(f"{PAGE}holds/new/", given).status_code == 302
    hold = Hold.objects.get()
    page = browser.get(PAGE).content.decode()
    assert "Zoë" in page and "Case 17 &lt;b&gt;" in page
    asked = browser.post(f"{PAGE}erase/", {"person": zoe.ref, "basis": "law", "reason": "law"})
    assert asked.status_code == 422 and "A legal hold covers this person" in asked.content.decode()
    path = browser.post(f"{PAGE}holds/{hold.ref}/release/", {"reason": "case_closed"}).headers["Location"]
    assert _agreed_and_done(browser, ben, path) == 302
    hold.refresh_from_db()
    assert hold.released_by == adm.person.ref


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kind": "person", "reason": "x"},
        {"kind": "all", "reason": ""},
        {"kind": "period", "since": "2026-02-02", "until": "2026-01-01", "reason": "x"},
        {"kind": "period", "since": "no day", "reason": "x"},
    ],
)
def test_a_hold_that_is_not_told_well_is_shown_again(adm: Somebody, given: dict[str, str]) -> None:
    assert browser_of(adm).post(f"{PAGE}holds/new/", given).status_code == 422
    assert not Hold.objects.exists()


def test_longer_is_at_once_and_shorter_is_asked(adm: Somebody, ben: Somebody) -> None:
    browser = browser_of(adm)
    assert browser.post(f"{PAGE}retention/", {"months": 24, "reason": "policy"}).headers["Location"] == PAGE
    assert state.current().months == 24
    path = browser.post(f"{PAGE}retention/", {"months": 6, "reason": "policy"}).headers["Location"]
    assert state.current().months == 24
    assert _agreed_and_done(browser, ben, path) == 302
    assert state.current().months == 6


@pytest.mark.parametrize(
    "said", [{}, {"reason": "because"}, {"reason": "case_closed", "note": "x" * 1_001}], ids=["none", "unknown", "long"]
)
def test_nobody_is_asked_for_a_reason_that_was_not_given(adm: Somebody, said: dict[str, str]) -> None:
    browser = browser_of(adm)
    browser.post(f"{PAGE}holds/new/", {"kind": "all", "reason": "Case 17"})
    assert browser.post(f"{PAGE}holds/{Hold.objects.get().ref}/release/", said).status_code == 400
    assert not Consent.objects.exists()


@pytest.mark.parametrize("months", ["5", "241", "-1", "", "1e3", "x"])
def test_no_other_number_of_months_is_taken(adm: Somebody, months: str) -> None:
    assert browser_of(adm).post(f"{PAGE}retention/", {"months": months, "reason": "policy"}).status_code == 400
    assert state.current().months == 13


def test_auditors_see_it_and_change_nothing_and_others_do_not_see_it(ben: Somebody, zoe: User) -> None:
    auditor, stranger = browser_of(ben), browser_of(somebody("cy", "approver"))
    page = auditor.get(PAGE)
    assert page.status_code == 200 and "Erase somebody" not in page.content.decode()
    assert stranger.get(PAGE).status_code == 403
    for path in ("retention/", "holds/new/", "holds/hold_1/release/", "erase/"):
        assert auditor.post(PAGE + path, {"months": 24}).status_code == 403
        assert stranger.post(PAGE + path, {"months": 24}).status_code == 403
        assert Client(headers={"host": "localhost:8000"}).post(PAGE + path).status_code in (302, 403)
    assert not Consent.objects.exists()


@pytest.fixture
def created(sequencer: Sequencer, zoe: User) -> int:
    """The entry that tells of Zoë's creation."""
    sequencer.run_once()
    return Entry.objects.get(type="people.person.created", subject=zoe.ref).index


def test_a_personal_value_is_hidden_until_somebody_says_why_and_then_it_checks(adm: Somebody, created: int) -> None:
    browser = browser_of(adm)
    page = browser.get(f"/audit/{created}/").content.decode()
    assert "hidden, committed" in page and EMAIL not in page
    path = f"/audit/{created}/personal/"
    assert browser.get(path).status_code == 405
    assert browser.post(path, {"field": "email"}).status_code == 422
    assert browser.post(path, {"field": "email", "reason": "curious"}).status_code == 422
    assert not _said("audit.personal.revealed")
    answer = browser.post(path, {"field": "email", "reason": "audit"})
    assert EMAIL in answer.content.decode() and "no-store" in answer.headers["Cache-Control"]
    assert _said("audit.personal.revealed") == [{"index": created, "field": "email", "reason": "audit"}]
    told = browser.post(path, {"field": "email", "reason": "audit", "form": "json"}).json()
    salt = base64.urlsafe_b64decode(told["salt"] + "=")
    assert commitment.opens(told["commitment"], salt=salt, field=told["field"], value=told["value"])
    assert json.loads(told["entry"])["data"]["email"] == told["commitment"]
    assert told["proof"].startswith("c2sp.org/tlog-proof@v1")


@pytest.mark.parametrize("field", ["", "person", "nothing", "x" * 41])
def test_what_is_no_personal_field_is_not_revealed(adm: Somebody, created: int, field: str) -> None:
    answer = browser_of(adm).post(f"/audit/{created}/personal/", {"field": field, "reason": "audit"})
    assert answer.status_code in (410, 422)
    assert not _said("audit.personal.revealed")


def test_only_who_reads_the_whole_log_may_reveal_or_search_by_value(created: int, ben: Somebody) -> None:
    terms = people.SeatTerms(
        is_guest=True,
        until_at=clock.now() + timedelta(days=1),
        agents=None,
        period_since_at=clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=9),
        period_until_at=None,
    )
    guest = somebody("guest")
    people.open_seat(guest.person, terms, by="cli:op", now=clock.now() - timedelta(minutes=1))
    for who, status in (
        (browser_of(ben), 200),
        (browser_of(guest), 403),
        (browser_of(somebody("cy", "approver")), 403),
    ):
        assert who.post(f"/audit/{created}/personal/", {"field": "email", "reason": "audit"}).status_code == status
        assert who.post("/audit/personal/", {"field": "email", "value": EMAIL}).status_code == status


def test_entries_are_found_by_a_whole_value_and_the_log_does_not_learn_it(adm: Somebody, created: int) -> None:
    browser = browser_of(adm)
    found = browser.post("/audit/personal/", {"field": "email", "value": f" {EMAIL.upper()} "}).content.decode()
    assert f"/audit/{created}/" in found
    nothing = browser.post("/audit/personal/", {"field": "email", "value": EMAIL[:-1]}).content.decode()
    assert "No entry" in nothing
    assert browser.post("/audit/personal/", {"field": "ip", "value": EMAIL}).status_code == 422
    assert _said("audit.personal.searched") == [{"field": "email", "found": 1}, {"field": "email", "found": 0}]
    assert not any(EMAIL.encode() in bytes(row.payload).lower() for row in InboxRow.objects.all())


def test_trouble_with_a_value_is_said_and_breaks_nothing(adm: Somebody, created: int, settings: Settings) -> None:
    browser, given = browser_of(adm), {"field": "email", "reason": "audit"}
    kept, settings.PERSON_KEYS = settings.PERSON_KEYS, "postgresql://nobody@127.0.0.1:1/none"
    away = browser.post(f"/audit/{created}/personal/", given)
    assert (away.status_code, "Not available now" in away.content.decode()) == (503, True)
    settings.PERSON_KEYS = kept
    PersonalValue.objects.filter(field="email").update(ciphertext=b"\x01" + bytes(60))
    changed = browser.post(f"/audit/{created}/personal/", given)
    assert (changed.status_code, "somebody changed it" in changed.content.decode()) == (410, True)


def test_an_erased_field_says_when_and_its_entry_is_still_proven(
    adm: Somebody, bo: Somebody, zoe: User, created: int
) -> None:
    browser = browser_of(adm)
    path = browser.post(f"{PAGE}erase/", {"person": zoe.ref, "basis": "request", "reason": "request"}).headers[
        "Location"
    ]
    _agreed_and_done(browser, bo, path)
    page = browser.get(f"/audit/{created}/").content.decode()
    assert "erased on" in page and "Reveal" not in page and "tlog-proof" in page
    answer = browser.post(f"/audit/{created}/personal/", {"field": "email", "reason": "audit"})
    assert (answer.status_code, "not kept any more" in answer.content.decode()) == (410, True)
