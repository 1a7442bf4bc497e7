"""The pages of scheduled reports: who sees and changes what, and what can't be asked."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from audit.access import EVERYTHING, Scope
from audit.exports.models import Export
from audit.exports.schedules import services
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.search import saved
from audit.search.language import parse
from tests.support.cast import browser_of
from tests.support.exports import Bundles
from tests.support.oauth_client import BY
from tests.unit.audit.exports.schedule_desk import DUE, NOW, entries, made, scheduled, swept

pytestmark = pytest.mark.django_db
LIST, NEW = "/audit/exports/schedules/", "/audit/exports/schedules/new/"
ASKED: dict[str, Any] = {"name": "Denials", "query": "decision:denied", "every": "day", "zone": "Europe/Berlin"}


@pytest.mark.parametrize("path", [LIST, NEW])
def test_auditors_and_admins_see_the_pages_and_nobody_else_does(
    ada: User, ben: User, adm: User, cy: User, path: str
) -> None:
    for person, status in ((ben, 200), (adm, 200), (ada, 403), (cy, 403), (None, 302)):
        assert browser_of(person).get(path).status_code == status, (person, path)
        if person in (ada, cy, None):
            assert browser_of(person).post(NEW, ASKED).status_code == status
    assert not Schedule.objects.exists()


def test_a_report_is_scheduled_shown_changed_paused_resumed_and_removed(bundles: Bundles, ben: User, adm: User) -> None:
    browser = browser_of(ben)
    once = browser.get("/audit/exports/new/?query=type:people.*%20%22a%20%26%20b%22").content.decode()
    assert f'href="{NEW}?q=type%3Apeople.%2A%20%22a%20%26%20b%22"' in once
    assert "type:people.*" in browser.get(f"{NEW}?q=type:people.*").content.decode()
    answer = browser.post(NEW, ASKED | {"tells": [adm.ref], "formats": ["csv"]})
    path = answer["Location"]
    row = Schedule.objects.get()
    assert (row.owner, row.query, row.zone, row.tells) == (ben.ref, "decision:denied", "Europe/Berlin", [adm.ref])
    page = unescape(browser.get(path).content.decode())
    for said in ("Denials", "decision:denied", "Every day (Europe/Berlin)", ben.name, adm.name, "It has not run yet."):
        assert said in page, said
    assert "Denials" in browser.get(LIST).content.decode()
    weekly = ASKED | {"query": "", "every": "week", "weekday": "2", "version": "1"}
    assert browser.post(f"{path}change/", weekly)["Location"] == path
    row.refresh_from_db()
    assert (row.query, row.every, row.weekday, row.tells) == ("", "week", 2, [])
    assert "begins on Wednesday" in unescape(browser.get(path).content.decode())
    for verb, state in (("pause", "paused"), ("resume", "active")):
        assert browser.post(f"{path}{verb}/")["Location"] == path
        row.refresh_from_db()
        assert row.state == state
    assert browser.post(f"{path}remove/")["Location"] == LIST
    assert browser.get(path).status_code == 404
    told = [each.type.removeprefix("audit.schedule.") for each in entries(bundles.sequencer)]
    assert told == ["set", "changed", "paused", "resumed", "removed"]


def test_the_last_runs_are_shown_with_their_outcome(bundles: Bundles, ben: User, adm: User) -> None:
    row = scheduled(ben.ref, tells=(ben.ref,))
    bundles.sequencer.run_once()
    swept(DUE)
    made(DUE)
    page = unescape(browser_of(ben).get(f"{LIST}{row.ref}/").content.decode())
    assert f"/audit/exports/{Export.objects.get().ref}/" in page
    assert "Ready" in page and "1 person told" in page
    ScheduleRun.objects.update(outcome="failed", code="inconsistent", missed=2, untold=[ben.ref], tell_at=None)
    page = unescape(browser_of(adm).get(f"{LIST}{row.ref}/").content.decode())
    for said in ("the database was changed", "2 periods before it were not reported", "1 mail could not be sent"):
        assert said in page, said
    people.end_role(ben, "auditor", by=BY, now=clock.now())
    swept(row.next_at.replace(year=row.next_at.year + 1))
    assert "stopped by itself" in browser_of(adm).get(f"{LIST}{row.ref}/").content.decode()


def test_of_a_search_that_is_kept_the_text_is_taken(ben: User) -> None:
    slug = saved.save(parse("type:people.*", NOW), name="People", is_shared=False, owner=ben.ref, now=NOW)
    browser = browser_of(ben)
    assert browser.post(NEW, ASKED | {"kept": slug, "query": ""}).status_code == 302
    saved.delete(slug, by=ben.ref)
    assert Schedule.objects.get().query == "type:people.*"
    page = browser.post(NEW, ASKED | {"kept": "exports"})
    assert page.status_code == 200 and "not both" in page.content.decode()
    assert browser.post(NEW, ASKED | {"kept": slug, "query": ""}).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "required"),
        ({"name": "x" * 101}, "at most 100"),
        ({"query": "colour:red"}, "colour"),
        ({"query": "x" * 2001}, "at most 2000"),
        ({"query": "a\0b"}, "Null"),
        ({"every": "hour"}, "valid choice"),
        ({"zone": "../../etc/passwd"}, "valid choice"),
        ({"zone": ""}, "required"),
        ({"every": "week", "weekday": "7"}, "valid choice"),
        ({"formats": ["exe"]}, "valid choice"),
        ({"tells": ["usr_nobody"]}, "valid choice"),
    ],
)
def test_what_can_not_be_asked_is_said_at_its_place(ben: User, wrong: dict[str, Any], said: str) -> None:
    answer = browser_of(ben).post(NEW, ASKED | wrong)
    assert answer.status_code == 200
    assert said in unescape(answer.content.decode())
    assert not Schedule.objects.exists()


def test_another_auditor_may_look_and_an_admin_may_end_it_but_only_its_owner_changes_it(
    bundles: Bundles, ben: User, adm: User, cy: User
) -> None:
    people.hold_role(cy, "auditor", by=BY, now=clock.now())
    row = scheduled(ben.ref)
    path = f"{LIST}{row.ref}/"
    other, admin = browser_of(cy), browser_of(adm)
    assert other.get(path).status_code == 200
    assert "Pause" not in other.get(path).content.decode()
    for verb in ("pause", "resume", "remove", "change"):
        assert other.post(f"{path}{verb}/", ASKED).status_code == 403
    assert admin.post(f"{path}change/", ASKED).status_code == 403
    assert admin.post(f"{path}pause/").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.name) == ("paused", "Denials")
    assert browser_of(ben).get(f"{path}pause/").status_code == 405
    assert browser_of(ben).post(f"{path}burn/").status_code == 404


def test_a_seat_before_a_part_of_the_log_sees_its_own_alone(
    ben: User, adm: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Scope(agents=frozenset({"spiffe://acme.example/a"}), since_at=None, until_at=None)
    monkeypatch.setattr("audit.exports.schedules.views.scope_of", lambda person: part if person == ben else EVERYTHING)
    theirs, own = scheduled(adm.ref, name="The whole"), scheduled(ben.ref, name="A part")
    browser = browser_of(ben)
    assert "The whole" not in browser.get(LIST).content.decode()
    assert [browser.get(f"{LIST}{row.ref}/").status_code for row in (theirs, own)] == [404, 200]
    for verb in ("pause", "change"):
        assert browser.post(f"{LIST}{theirs.ref}/{verb}/").status_code == 404


def test_who_changes_what_somebody_else_changed_is_told_so(bundles: Bundles, ben: User) -> None:
    row = scheduled(ben.ref)
    services.pause(Schedule.objects.get(), by=ben.ref)
    answer = browser_of(ben).post(f"{LIST}{row.ref}/change/", ASKED | {"version": "1"})
    assert "Somebody else changed it meanwhile" in answer.content.decode()
    assert browser_of(ben).post(f"{LIST}{row.ref}/pause/", follow=True).redirect_chain == [(LIST, 302)]
    row.refresh_from_db()
    assert (row.name, row.version) == ("Denials", 2)


def test_a_name_is_text_and_never_markup(ben: User) -> None:
    row = scheduled(ben.ref, name='<script>x</script>\u202e"')
    for path in (LIST, f"{LIST}{row.ref}/"):
        page = browser_of(ben).get(path).content.decode()
        assert "<script>x" not in page and "\u202e" not in page
