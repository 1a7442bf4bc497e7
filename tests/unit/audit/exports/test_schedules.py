"""A scheduled report: due, made as an ordinary export, told of; missed, failed, stopped, and never twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from aims.authorization.services.grants import GiveGrant, give_grant
from aims.console.management import ensure_management_api
from aims.console.reporting import READERS
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from audit import read
from audit.access import EVERYTHING
from audit.exports import aims_verify, spans
from audit.exports import services as exports
from audit.exports.errors import FormatMissing
from audit.exports.models import Export
from audit.exports.schedules import queries, running, services
from audit.exports.schedules.errors import ScheduleMoved, TellsRefused, TooManySchedules, ZoneRefused
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.keeping import taken
from audit.search.errors import QueryError
from tests.support.cast import Acting
from tests.support.exports import Bundles, verdict
from tests.support.oauth_client import BY
from tests.unit.audit.exports.schedule_desk import DUE, NOW, TODAY, asked, entries, made, scheduled, swept

pytestmark = pytest.mark.django_db


def types(bundles: Bundles) -> list[str]:
    return [each.type.removeprefix("audit.schedule.") for each in entries(bundles.sequencer)]


def only_run() -> ScheduleRun:
    return ScheduleRun.objects.get()


def test_the_report_of_a_day_is_made_when_it_is_over_and_proves_that_none_is_left_out(
    bundles: Bundles, ben: User, adm: User
) -> None:
    row = scheduled(ben.ref, name="Every\n day", tells=(ben.ref, adm.ref))
    bundles.sequencer.run_once()
    before = read.size()
    assert swept(DUE - timedelta(seconds=1)) == 0
    assert swept(DUE) == 1
    export = Export.objects.get()
    assert (export.asked_by, export.kind, export.scope) == (ben.ref, "range", None)
    assert [export.sets[0][name] for name in ("query", "first", "end")] == ["", 0, before]
    made(DUE)
    export.refresh_from_db()
    assert (export.state, export.rows) == ("ready", before)
    assert export.manifest is not None and export.manifest["sets"][0]["completeness"] == "proven"
    assert export.expires_at - export.finished_at == exports.KEPT_FOR  # type: ignore[operator]
    assert verdict(bundles.unpacked(export), bundles.vkey)[0] == aims_verify.GOOD
    run = only_run()
    assert (run.since_at, run.until_at, run.outcome, run.missed) == (TODAY, TODAY + timedelta(days=1), "ready", 0)
    assert [(letter.to, letter.subject) for letter in mail.outbox] == [
        ([ben.email], "Report ready: Every day"), ([adm.email], "Report ready: Every day"),
    ]  # fmt: skip
    assert f"/audit/exports/{export.ref}/" in mail.outbox[0].body
    assert not mail.outbox[0].attachments
    run.refresh_from_db()
    assert (run.told, run.untold, run.tell_at) == (2, [], None)
    assert types(bundles) == ["set", "ran"]
    ran = entries(bundles.sequencer)[-1]
    assert (ran.by, ran.subject, ran.data["export"]) == ("system", ben.ref, export.ref)
    row.refresh_from_db()
    assert row.next_at == DUE + timedelta(days=1)


def test_a_search_is_taken_within_the_period_and_stands_nowhere_in_the_log_or_the_mail(
    bundles: Bundles, ben: User
) -> None:
    query = "type:audit.schedule.* -secretword"
    scheduled(ben.ref, query=query, formats=("csv",), tells=(ben.ref,))
    bundles.sequencer.run_once()
    swept(DUE)
    made(DUE)
    export = Export.objects.get()
    assert (export.kind, export.sets[0]["query"], export.formats, export.rows) == ("filter", query, ["jsonl", "csv"], 1)
    assert "secretword" not in f"{mail.outbox[0].body}{mail.outbox[0].subject}"
    bundles.sequencer.run_once()
    assert all(b"secretword" not in each.canon for each in read.after(-1, scope=EVERYTHING))


def test_sweeps_that_come_again_make_no_second_run(bundles: Bundles, ben: User) -> None:
    scheduled(ben.ref, tells=(ben.ref,))
    bundles.sequencer.run_once()
    assert [swept(DUE + timedelta(minutes=minutes)) for minutes in range(4)] == [1, 0, 0, 0]
    made(DUE)
    swept(DUE)
    assert (Export.objects.count(), len(mail.outbox)) == (1, 1)


def test_a_clock_that_jumps_back_makes_no_second_run_and_one_that_was_ahead_stops_nothing(
    bundles: Bundles, ben: User
) -> None:
    row = scheduled(ben.ref)
    bundles.sequencer.run_once()
    swept(DUE)
    for back in (timedelta(hours=3), timedelta(days=1), timedelta(days=20)):
        assert swept(DUE - back) == 0
    assert swept(DUE + timedelta(days=3650)) == 1  # nothing was recorded then: empty
    assert swept(DUE + timedelta(hours=1)) == 0  # back again
    row.refresh_from_db()
    assert row.next_at == DUE + timedelta(days=1)
    assert swept(DUE + timedelta(days=1)) == 1
    assert list(row.runs.order_by("pk").values_list("outcome", flat=True)) == ["making", "nothing", "nothing"]


def test_what_was_missed_is_made_up_for_once_and_said(bundles: Bundles, ben: User) -> None:
    scheduled(ben.ref, at=NOW - timedelta(days=6))
    bundles.sequencer.run_once()
    assert [swept(DUE), swept(DUE)] == [1, 0]
    run = only_run()
    assert (run.until_at, run.missed) == (TODAY + timedelta(days=1), 6)
    assert entries(bundles.sequencer)[-1].data["missed"] == 6


def test_a_period_in_which_nothing_was_recorded_is_said_and_exports_nothing(bundles: Bundles, ben: User) -> None:
    scheduled(ben.ref, at=NOW - timedelta(days=3), tells=(ben.ref,))
    bundles.sequencer.run_once()
    assert swept(TODAY - timedelta(hours=20)) == 1
    assert (only_run().outcome, Export.objects.count()) == ("nothing", 0)
    assert mail.outbox[0].subject == "Report empty: Denials"
    assert entries(bundles.sequencer)[-1].data["export"] is None


def test_what_no_checkpoint_covers_yet_is_waited_for(bundles: Bundles, ben: User) -> None:
    scheduled(ben.ref)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "signed_size", lambda: 0)
        assert swept(DUE) == 0
    bundles.sequencer.run_once()
    assert swept(DUE) == 1


def test_an_owner_with_too_many_exports_open_is_served_when_there_is_room(
    bundles: Bundles, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "OPEN_MAX_PERSON", 1)
    for name in ("One", "Two"):
        scheduled(ben.ref, name=name)
    bundles.sequencer.run_once()
    assert swept(DUE) == 1
    exports.run_due(now=DUE)
    assert swept(DUE + timedelta(minutes=1)) == 1
    assert types(bundles) == ["set", "set", "ran", "ran"]


def test_an_owner_who_may_not_read_any_more_stops_it_and_it_says_so(bundles: Bundles, ben: User, adm: User) -> None:
    row = scheduled(ben.ref, tells=(ben.ref, adm.ref))
    bundles.sequencer.run_once()
    people.end_role(ben, "auditor", by=BY, now=clock.now())
    assert swept(DUE) == 0
    row.refresh_from_db()
    assert (row.state, row.stopped_for, only_run().outcome) == ("stopped", "right_lost", "stopped")
    assert not Export.objects.exists()
    assert [(letter.to, letter.subject) for letter in mail.outbox] == [([adm.email], "Report stopped: Denials")]
    assert types(bundles) == ["set", "stopped"]
    assert swept(DUE + timedelta(days=1)) == 0
    people.hold_role(ben, "auditor", by=BY, now=clock.now())
    assert swept(DUE + timedelta(days=2)) == 0  # by itself it does not begin again
    services.resume(row, by=adm.ref, now=DUE + timedelta(days=2))
    assert swept(DUE + timedelta(days=3)) == 1


@pytest.mark.parametrize("how", ["deactivated", "gone"])
def test_an_owner_who_was_shut_out_or_is_gone_stops_it_too(bundles: Bundles, ben: User, adm: User, how: str) -> None:
    row = scheduled(ben.ref if how == "deactivated" else "usr_gone")
    if how == "deactivated":
        people.deactivate(ben, by=BY, now=clock.now())
    swept(DUE)
    row.refresh_from_db()
    assert row.state == "stopped"


def test_a_seat_before_a_part_of_the_log_takes_what_it_opens_at_that_time(
    bundles: Bundles, ben: User, cy: User
) -> None:
    scheduled(cy.ref, at=NOW, tells=(ben.ref,))
    terms = people.SeatTerms(
        is_guest=True, until_at=clock.now() + timedelta(days=30), agents=("spiffe://acme.example/agent/courier",),
        period_since_at=None, period_until_at=None,
    )  # fmt: skip
    people.open_seat(cy, terms, by=BY, now=clock.now())
    bundles.sequencer.run_once()
    swept(DUE)
    assert Export.objects.get().scope["agents"] == ["spiffe://acme.example/agent/courier"]  # type: ignore[index]


def test_an_agent_with_a_grant_to_read_may_own_one_and_without_it_is_stopped(
    bundles: Bundles, courier: Acting, ben: User
) -> None:
    row = scheduled(courier.agent.identifier)
    swept(DUE)
    row.refresh_from_db()
    assert row.state == "stopped"
    now = clock.now()
    terms = GiveGrant(
        from_person=None, agent=courier.agent, resource=ensure_management_api(by=BY, now=now), actions=("read.audit",),
        detail_types=(), until_at=now + timedelta(days=3),
    )  # fmt: skip
    give_grant(terms, by=BY, now=now)
    services.resume(row, by=BY, now=NOW)
    bundles.sequencer.run_once()
    ScheduleRun.objects.all().delete()
    assert swept(DUE) == 1


def test_who_may_not_open_the_link_gets_none(bundles: Bundles, ben: User, adm: User) -> None:
    scheduled(adm.ref, tells=(ben.ref, adm.ref))
    bundles.sequencer.run_once()
    people.end_role(ben, "auditor", by=BY, now=clock.now())
    swept(DUE)
    made(DUE)
    assert [letter.to for letter in mail.outbox] == [[adm.email]]
    assert (only_run().told, only_run().untold) == (1, [])


def test_a_mail_that_is_not_taken_is_tried_again_and_given_up_in_the_end(
    bundles: Bundles, ben: User, settings: Settings
) -> None:
    scheduled(ben.ref, tells=(ben.ref,))
    bundles.sequencer.run_once()
    swept(DUE)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    made(DUE)
    at, waits = DUE, []
    while (due_at := only_run().tell_at) is not None:
        waits.append((due_at - at).total_seconds())
        swept(due_at - timedelta(seconds=1))
        at = due_at
        swept(at)
    assert waits == list(running.TELL_AGAIN_S)
    assert (only_run().told, only_run().untold, only_run().outcome) == (0, [ben.ref], "ready")


@pytest.mark.parametrize(
    ("state", "failure", "code"), [("failed", "storage", "storage"), ("cancelled", "", "cancelled"), (None, "", "gone")]
)
def test_an_export_that_came_to_nothing_is_a_failed_run(
    bundles: Bundles, ben: User, state: str | None, failure: str, code: str
) -> None:
    scheduled(ben.ref, tells=(ben.ref,))
    bundles.sequencer.run_once()
    swept(DUE)
    if state:
        Export.objects.update(state=state, failure=failure)
    else:
        Export.objects.all().delete()
    swept(DUE)
    assert (only_run().outcome, only_run().code) == ("failed", code)
    assert mail.outbox[0].subject == "Report failed: Denials"
    failed = entries(bundles.sequencer)[-1]
    assert (failed.type, failed.data["code"]) == ("audit.schedule.failed", code)


def test_a_search_that_means_nothing_any_more_fails_the_run_and_the_next_one_is_tried(
    bundles: Bundles, ben: User
) -> None:
    scheduled(ben.ref)
    Schedule.objects.update(query="colour:red")
    bundles.sequencer.run_once()
    assert swept(DUE) == 1
    assert (only_run().outcome, only_run().code) == ("failed", "query_unknown_field")
    Schedule.objects.update(query="")
    assert swept(DUE + timedelta(days=1)) == 1


def test_a_zone_that_is_gone_stops_it(bundles: Bundles, ben: User) -> None:
    row = scheduled(ben.ref)
    Schedule.objects.update(zone="Atlantis/Capital")
    swept(DUE)
    row.refresh_from_db()
    assert (row.state, row.stopped_for) == ("stopped", "zone_unknown")
    with pytest.raises(ZoneRefused):
        services.resume(row, by=ben.ref, now=DUE)


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"query": "colour:red"}, QueryError),
        ({"query": "x" * 2001}, QueryError),
        ({"query": "(" * 50}, QueryError),
        ({"formats": ("exe",)}, FormatMissing),
        ({"zone": "../../etc/passwd"}, ZoneRefused),
        ({"zone": "Mars/Olympus"}, ZoneRefused),
        ({"tells": ("usr_nobody",)}, TellsRefused),
        ({"tells": "cy"}, TellsRefused),
        ({"tells": "ben twice"}, TellsRefused),
    ],
)
def test_what_can_not_be_scheduled_is_refused_and_leaves_nothing(
    bundles: Bundles, ben: User, cy: User, other: dict[str, Any], error: type[Exception]
) -> None:
    refs = {"cy": (cy.ref,), "ben twice": (ben.ref, ben.ref)}
    told: dict[str, Any] = {
        name: refs.get(value, value) if isinstance(value, str) else value for name, value in other.items()
    }
    with pytest.raises(error):
        scheduled(ben.ref, **told)
    assert not Schedule.objects.exists()
    assert types(bundles) == []


def test_no_more_are_told_than_may_be(bundles: Bundles, ben: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "TELLS_MAX", 0)
    with pytest.raises(TellsRefused):
        scheduled(ben.ref, tells=(ben.ref,))


def test_one_owner_and_all_together_have_so_many(
    bundles: Bundles, ben: User, adm: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(services.SCHEDULES_MAX_OWNER):
        scheduled(ben.ref)
    with pytest.raises(TooManySchedules):
        scheduled(ben.ref)
    scheduled(adm.ref)
    monkeypatch.setattr(services, "SCHEDULES_MAX", services.SCHEDULES_MAX_OWNER + 1)
    with pytest.raises(TooManySchedules):
        scheduled(adm.ref)


def test_a_change_is_written_once_says_what_and_begins_anew_with_another_rhythm(bundles: Bundles, ben: User) -> None:
    row = scheduled(ben.ref, at=NOW - timedelta(days=5))
    stale = Schedule.objects.get()
    services.change(row, asked(query="type:people.*"), by=ben.ref, readers=READERS, now=NOW)
    services.change(row, asked(query="type:people.*"), by=ben.ref, readers=READERS, now=NOW)
    assert (row.version, row.next_at) == (2, stale.next_at)
    with pytest.raises(ScheduleMoved):
        services.change(stale, asked(name="Late"), by=ben.ref, readers=READERS, now=NOW)
    services.change(row, asked(every="week", weekday=3, zone="Asia/Kathmandu"), by=ben.ref, readers=READERS, now=NOW)
    assert row.next_at > NOW
    changes = [each.data["changed"] for each in entries(bundles.sequencer) if each.type == "audit.schedule.changed"]
    assert changes == [["query"], ["query", "every", "weekday", "zone"]]


def test_paused_it_takes_nothing_and_resumed_it_goes_on_with_the_period_that_runs(bundles: Bundles, ben: User) -> None:
    row = scheduled(ben.ref, at=NOW - timedelta(days=5))
    services.pause(row, by=ben.ref)
    bundles.sequencer.run_once()
    assert swept(DUE) == 0
    with pytest.raises(ScheduleMoved):
        services.pause(row, by=ben.ref)
    services.resume(row, by=ben.ref, now=DUE)
    assert (row.next_at, row.from_at) == (DUE + timedelta(days=1), TODAY + timedelta(days=1))
    with pytest.raises(ScheduleMoved):
        services.resume(row, by=ben.ref, now=DUE)
    services.remove(row, by=ben.ref)
    with pytest.raises(ScheduleMoved):
        services.remove(row, by=ben.ref)
    assert types(bundles) == ["set", "paused", "resumed", "removed"]


def test_only_the_newest_runs_are_kept(bundles: Bundles, ben: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "RUNS_KEPT", 2)
    row = scheduled(ben.ref, at=NOW - timedelta(days=9))
    for days in range(7, 2, -1):
        swept(DUE - timedelta(days=days))
    assert [run.until_at for run in row.runs.order_by("until_at")] == [TODAY - timedelta(days=days) for days in (3, 2)]
    assert queries.last_runs([row])[row.pk].until_at == TODAY - timedelta(days=2)


def test_who_is_erased_takes_their_schedules_along_and_those_that_name_them(
    bundles: Bundles, ben: User, adm: User
) -> None:
    scheduled(ben.ref)
    scheduled(adm.ref, name="What Ben Okafor did")
    kept = scheduled(adm.ref, name="Everything")
    taken.forget(ben.ref, ["Ben Okafor", ben.email])
    assert list(Schedule.objects.all()) == [kept]
    removed = [each for each in entries(bundles.sequencer) if each.type == "audit.schedule.removed"]
    assert [(each.by, each.data["reason"]) for each in removed] == [("system", "erasure")] * 2
    assert b"Okafor" not in b"".join(each.canon for each in removed)


def test_a_range_that_went_by_retention_is_not_asked_for(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.sequencer.run_once()
    assert queries.recorded_in(TODAY, TODAY + timedelta(days=1)) == (0, read.size())
    monkeypatch.setattr(read, "minimum", lambda: 10**6)
    assert queries.recorded_in(TODAY, TODAY + timedelta(days=1)) == (read.size(), read.size())
    assert json.dumps(queries.recorded_in(datetime(2000, 1, 1, tzinfo=UTC), TODAY - timedelta(days=1))) == "[0, 0]"
