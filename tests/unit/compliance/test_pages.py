"""The pages of this room, met by the cast: admins, auditors with and without a seat, and strangers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache

from aims.compliance.models import Consent, Measurement
from aims.credentials.models import RegisteredKey
from aims.kit import clock
from aims.people import queries, services
from aims.people.models import AuditSeat, User
from tests.support.cast import Acting
from tests.support.cast import browser_of as anonymous_or
from tests.unit.compliance.test_consents import A_DAY, asked, said, somebody
from tests.unit.people.driver import Somebody, browser_of

COURIER = "spiffe://acme.example/agent/courier"


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def adm(db: None) -> Somebody:
    return somebody("adm", "admin")


@pytest.fixture
def ben(db: None) -> Somebody:
    return somebody("ben", "auditor")


def seated(name: str, *, agents: tuple[str, ...] | None = (COURIER,), ago: timedelta = timedelta(hours=1)) -> User:
    """Return a guest with a seat of a day."""
    at = clock.now() - ago
    terms = services.SeatTerms(
        is_guest=True, until_at=at + A_DAY, agents=agents, period_since_at=None, period_until_at=None
    )
    return services.open_seat(f"{name}@audit.example", terms, by="usr_adm", now=at)[0].person


def test_a_consent_is_read_signed_and_stopped_on_its_page(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm, note="Case \u0001 closed".replace("\u0001", "12"))
    path = f"/compliance/consents/{consent.ref}/"
    mine, theirs = browser_of(adm), browser_of(ben)
    page = mine.get(path).content.decode()
    assert "Somebody else must sign it" in page and "Withdraw" in page and "Consent with passkey" not in page
    page = theirs.get(path).content.decode()
    assert "Consent with passkey" in page and "hold_1" in page and "Case 12 closed" in page and "Refuse" in page
    options = theirs.post(path + "begin/").json()
    answer = theirs.post(path + "finish/", {"credential": json.dumps(ben.authenticator.get(options))})
    assert answer.json() == {"next": path}
    assert "signed on" in theirs.get(path).content.decode()
    assert "Confirmed" in theirs.get("/compliance/consents/").content.decode()
    assert theirs.post(path + "deny/").status_code == 302
    assert Consent.objects.get().state == "denied"
    again = theirs.post(path + "begin/")
    assert again.status_code == 409 and again.json()["code"] == "consent_over"


def test_the_asker_withdraws_on_the_page_and_cannot_sign(adm: Somebody) -> None:
    consent = asked(adm)
    path = f"/compliance/consents/{consent.ref}/"
    mine = browser_of(adm)
    assert mine.post(path + "begin/").json()["code"] == "not_another"
    assert mine.post(path + "deny/").status_code == 403
    assert mine.post(path + "withdraw/").status_code == 302
    assert Consent.objects.get().state == "withdrawn"


def test_consents_do_not_exist_for_who_reads_a_part_of_the_log(adm: Somebody) -> None:
    consent = asked(adm)
    eve = anonymous_or(seated("eve"))
    for path in ("", f"{consent.ref}/"):
        assert eve.get(f"/compliance/consents/{path}").status_code == 404
    for verb in ("begin", "finish", "deny", "withdraw"):
        assert eve.post(f"/compliance/consents/{consent.ref}/{verb}/").status_code == 404
    whole = anonymous_or(seated("wil", agents=None))
    assert whole.get("/compliance/consents/").status_code == 200


def test_an_admin_opens_a_seat_prolongs_it_and_ends_it(adm: Somebody) -> None:
    mine = browser_of(adm)
    asked_for = {"email": "eve@audit.example", "name": "Eve", "is_guest": "on", "days": "30", "since": "2026-01-01"}
    answer = mine.post("/compliance/auditors/new/", asked_for)
    assert "/join/" in answer.content.decode() and answer["Referrer-Policy"] == "no-referrer"
    seat = AuditSeat.objects.get()
    assert "from 2026-01-01 on" in mine.get("/compliance/auditors/").content.decode()
    assert mine.get(f"/compliance/auditors/{seat.ref}/").status_code == 200
    assert mine.post(f"/compliance/auditors/{seat.ref}/prolong/", {"days": "91"}).status_code == 422
    assert mine.post(f"/compliance/auditors/{seat.ref}/prolong/", {"days": "60"}).status_code == 302
    assert mine.post(f"/compliance/auditors/{seat.ref}/prolong/", {"days": "many"}).status_code == 400
    assert mine.post(f"/compliance/auditors/{seat.ref}/end/").status_code == 302
    assert mine.post(f"/compliance/auditors/{seat.ref}/end/").status_code == 409
    assert "closed" in mine.get(f"/compliance/auditors/{seat.ref}/").content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": ""},
        {"days": "91"},
        {"days": "0"},
        {"email": "nobody"},
        {"agents": "spiffe://acme.example/agent/nobody"},
        {"agents": "\n".join(f"spiffe://a/{n}" for n in range(51))},
        {"since": "2026-02-01", "until": "2026-01-01"},
        {"since": "yesterday"},
    ],
)
def test_a_seat_that_cannot_be_is_said_at_its_field(adm: Somebody, wrong: dict[str, str]) -> None:
    asked_for = {"email": "eve@audit.example", "is_guest": "on", "days": "30"} | wrong
    assert browser_of(adm).post("/compliance/auditors/new/", asked_for).status_code == 422
    assert queries.person_by_email("eve@audit.example") is None


def test_seats_are_the_admins_business_and_reading_is_everybodys_own(adm: Somebody, ben: Somebody) -> None:
    eve, cy = seated("eve"), somebody("cy").person
    expired = seated("exa", ago=A_DAY + timedelta(minutes=1))
    seat = AuditSeat.objects.get(person=eve)
    paths = ["/compliance/auditors/", "/compliance/auditors/new/", f"/compliance/auditors/{seat.ref}/"]
    for path in paths:
        statuses = [anonymous_or(who).get(path).status_code for who in (adm.person, ben.person, eve, expired, cy)]
        assert statuses == [200, 403, 403, 403, 403], path
    statuses = [
        anonymous_or(who).get("/compliance/reading/").status_code for who in (adm.person, ben.person, eve, expired, cy)
    ]
    assert statuses == [200, 200, 200, 403, 403]
    assert "1 agent" in anonymous_or(eve).get("/compliance/reading/").content.decode()


def test_what_is_not_there_is_not_there(adm: Somebody) -> None:
    mine = browser_of(adm)
    for path in ("consents/con_1/", "auditors/seat_1/", "auditors/new/?agent=agt_1"):
        assert mine.get(f"/compliance/{path}").status_code == 404


def test_requirements_and_scorecard_are_read_by_auditors_and_admins_and_reading_is_an_entry(
    adm: Somebody, ben: Somebody, courier: Acting, ada: User
) -> None:
    eve, expired = seated("eve"), seated("exa", ago=A_DAY + timedelta(minutes=1))
    for path in ("/compliance/", "/compliance/?days=30", "/compliance/scorecard/", "/compliance/scorecard/?by=policy"):
        cast = (adm.person, ben.person, eve, expired, ada)
        assert [anonymous_or(who).get(path).status_code for who in cast] == [200, 200, 200, 403, 403], path
    assert anonymous_or(None).get("/compliance/").status_code == 302
    read = [entry for entry in said() if entry["type"] == "compliance.report.viewed"]
    assert len(read) == 12 and {entry["by"] for entry in read} == {adm.person.ref, ben.person.ref, eve.ref}


def test_a_seat_before_one_agent_shows_that_agent_alone(courier: Acting, magpie: Acting) -> None:
    eve = anonymous_or(seated("eve", agents=(courier.agent.identifier,)))
    page = eve.get("/compliance/scorecard/").content.decode()
    assert "Courier" in page and "Magpie" not in page
    page = eve.get("/compliance/").content.decode()
    assert "Of the part of the log that your seat opens" in page and "Not part of your seat" in page


def test_only_admins_measure_again(adm: Somebody, ben: Somebody) -> None:
    assert anonymous_or(ben.person).post("/compliance/measure/").status_code == 403
    assert browser_of(adm).post("/compliance/measure/").status_code == 302
    assert Measurement.objects.count() == 1


def test_the_agent_page_says_what_the_scorecard_says(adm: Somebody, courier: Acting) -> None:
    RegisteredKey.objects.update(registered_at=clock.now() - timedelta(days=91))
    page = browser_of(adm).get(f"/agents/{courier.agent.ref}/").content.decode()
    assert "Newest key registered 91 days ago" in page and "Rotate it" in page and "Attestation" in page
