"""The compliance report and the log by API: what is asked, and for whom a machine may read it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import AccessToken
from aims.compliance.controls import control_sets
from aims.compliance.measures import MEASURES
from aims.kit import clock
from aims.people import services as people
from aims.people.models import AuditSeat, User
from audit.sequencer import Sequencer
from tests.protocol.api.conftest import Desk, problem_of, recorded

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(desk: Desk, sequencer: Sequencer) -> Desk:
    """The desk, its story numbered in the log."""
    sequencer.run_once()
    return desk


def acting_for(desk: Desk, person: User | None) -> None:
    """Let the desk's token be one that was issued on behalf of a person."""
    AccessToken.objects.update(subject_ref=person.ref if person else desk.agent.identifier)


def seat_of_eve(*agents: str) -> AuditSeat:
    now = clock.now()
    terms = people.SeatTerms(
        is_guest=True, until_at=now + timedelta(days=1), agents=agents, period_since_at=None, period_until_at=None
    )
    return people.open_seat("eve@audit.example", terms, by="usr_adm", now=now)[0]


def items(answer: Any) -> set[str | None]:
    assert answer.status_code == 200, answer.content
    return {item["agent"] for item in answer.json()["items"]}


def test_the_report_has_every_set_with_every_measurement_once(told: Desk) -> None:
    answer = told.get("compliance/").json()
    assert [row["id"] for row in answer["sets"]] == [each.id for each in control_sets()]
    assert [row["name"] for row in answer["evidence"]] == sorted(MEASURES)
    assert [row["needs_legal_check"] for row in answer["sets"]].count(False) == 1 and answer["is_whole"]
    said = recorded("compliance.report.viewed")
    assert [(entry["by"], entry["data"]["page"]) for entry in said] == [(told.agent.identifier, "report")]


def test_the_scorecard_has_every_agent_with_nine_layers(told: Desk) -> None:
    answer = told.get("compliance/agents/").json()
    assert {row["name"] for row in answer["items"]} == {"Courier", "Steward"}
    assert {len(row["layers"]) for row in answer["items"]} == {9}


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-02-30",
        "since=2026-01-02&until=2026-01-01",
        "since=2020-01-01",
        "since=2026-01-01&since=2026-01-02",
        "days=90",
        "since=",
    ],
)
def test_a_period_that_cannot_be_is_refused(told: Desk, query: str) -> None:
    for path in ("compliance/", "compliance/agents/"):
        assert problem_of(told.get(f"{path}?{query}"))[0] == 400


def test_the_report_needs_the_scope_that_reads_the_log(told: Desk) -> None:
    token = told.issue("manage.agents")
    for path in ("compliance/", "compliance/agents/", "audit-entries/"):
        assert problem_of(told.get(path, token=token)) == (403, "insufficient_scope")


def test_a_machine_that_acts_for_an_auditor_reads_what_their_seat_opens(told: Desk) -> None:
    assert items(told.get("audit-entries/?limit=200")) > {told.agent.identifier}
    seat = seat_of_eve(told.agent.identifier)
    acting_for(told, seat.person)
    listed = told.get("audit-entries/?limit=200")
    assert items(listed) == {told.agent.identifier}
    inside = {item["index"] for item in listed.json()["items"]}
    outside = next(index for index in range(max(inside)) if index not in inside)
    assert problem_of(told.get(f"audit-entries/{outside}/")) == problem_of(told.get("audit-entries/98765/"))
    assert [row["name"] for row in told.get("compliance/agents/").json()["items"]] == ["Steward"]
    report = told.get("compliance/").json()
    assert not report["is_whole"]
    assert {row["state"] for row in report["evidence"] if row["name"] in ("admins_two", "log_signed")} == {"unknown"}
    assert recorded("audit.log.viewed")[-1]["subject"] == seat.person.ref


def test_a_machine_that_acts_for_a_person_without_the_right_reads_nothing(told: Desk) -> None:
    seat = seat_of_eve(told.agent.identifier)
    people.end_seat(seat, by="usr_adm", now=clock.now())
    for person in (told.stage.ada, seat.person):
        acting_for(told, person)
        for path in ("audit-entries/", "audit-entries/1/", "compliance/", "compliance/agents/"):
            assert problem_of(told.get(path))[0] == 403, path


def test_a_token_for_somebody_who_was_shut_out_opens_nothing(told: Desk) -> None:
    seat = seat_of_eve(told.agent.identifier)
    acting_for(told, seat.person)
    people.deactivate(seat.person, by="usr_adm", now=clock.now())
    assert problem_of(told.get("audit-entries/")) == (401, "invalid_token")
