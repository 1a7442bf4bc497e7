"""Scheduled reports over the API: set, read, changed, ended; and what can't be asked."""

from __future__ import annotations

from typing import Any

import pytest

from aims.people.models import User
from audit.exports.schedules.api import ScheduleViewSet
from audit.exports.schedules.models import Schedule
from tests.protocol.api.conftest import Desk, problem_of, recorded

WEEKLY = {"name": "Denials", "query": "decision:denied", "every": "week", "weekday": 0, "zone": "Europe/Berlin"}


def test_a_report_is_set_read_changed_paused_resumed_and_removed(desk: Desk) -> None:
    token = desk.issue("read.audit")
    made = desk.post("audit-schedules/", WEEKLY, token=token)
    shown = made.json()
    assert (made.status_code, made["ETag"], shown["state"], shown["runs"]) == (201, '"1"', "active", [])
    assert (shown["owner"], shown["query"], shown["tells"]) == (desk.steward.client_id, "decision:denied", [])
    path = f"audit-schedules/{shown['ref']}/"
    assert [each["ref"] for each in desk.get("audit-schedules/", token=token).json()] == [shown["ref"]]
    changed = desk.call("PUT", path, {"name": "All", "every": "day"}, token=token, HTTP_IF_MATCH=made["ETag"])
    assert (changed.status_code, changed["ETag"]) == (200, '"2"')
    assert (changed.json()["zone"], changed.json()["weekday"], changed.json()["query"]) == ("UTC", None, "")
    again = desk.call("PUT", path, {"name": "All", "every": "day"}, token=token)
    assert again["ETag"] == '"2"'
    for verb, state, tag in (("pause", "paused", '"3"'), ("resume", "active", '"4"')):
        answer = desk.post(f"{path}{verb}/", token=token)
        assert (answer.json()["state"], answer["ETag"]) == (state, tag)
        assert problem_of(desk.post(f"{path}{verb}/", token=token)) == (409, "conflict")
    assert desk.post(f"{path}remove/", token=token).json()["name"] == "All"
    assert problem_of(desk.get(path, token=token))[0] == 404
    by = {row["by"] for kind in ("set", "changed", "paused", "resumed", "removed") for row in recorded(f"audit.schedule.{kind}")}  # fmt: skip
    assert by == {desk.steward.client_id}


def test_a_stale_change_is_refused(desk: Desk) -> None:
    made = desk.post("audit-schedules/", WEEKLY)
    path = f"audit-schedules/{made.json()['ref']}/"
    for tag in ('"7"', 'W/"1"', "", "1"):
        answer = desk.call("PUT", path, WEEKLY | {"name": "X"}, HTTP_IF_MATCH=tag)
        assert problem_of(answer) == (412, "precondition_failed"), tag
    assert desk.call("PUT", path, WEEKLY | {"name": "X"}, HTTP_IF_MATCH="*").json()["name"] == "X"
    assert problem_of(desk.call("PUT", path)) == (400, "invalid_json")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "/name"),
    ({"name": 7}, "/name"),
    ({"name": "x" * 101}, "/name"),
    ({"query": "colour:red"}, "/query"),
    ({"query": "x" * 2001}, "/query"),
    ({"every": "hour"}, "/every"),
    ({"every": ["week"]}, "/every"),
    ({"weekday": None}, "/weekday"),
    ({"weekday": 7}, "/weekday"),
    ({"weekday": "0"}, "/weekday"),
    ({"weekday": True}, "/weekday"),
    ({"every": "day"}, "/weekday"),
    ({"zone": "../../etc/passwd"}, "/zone"),
    ({"zone": "x" * 65}, "/zone"),
    ({"formats": ["exe"]}, "/formats"),
    ({"formats": ["csv"] * 11}, "/formats"),
    ({"tells": ["usr_nobody"]}, "/tells"),
    ({"tells": ["a"] * 11}, "/tells"),
    ({"owner": "usr_ada"}, "/owner"),
]


def test_what_can_not_be_asked_is_named_and_makes_nothing(desk: Desk) -> None:
    for wrong, pointer in WRONG:
        answer = desk.post("audit-schedules/", WEEKLY | wrong)
        assert answer.status_code == 400, wrong
        assert answer.json()["errors"][0]["pointer"].startswith(pointer), answer.json()
    assert not Schedule.objects.exists()


def test_another_scope_opens_nothing_and_unknown_ones_are_not_there(desk: Desk) -> None:
    token = desk.issue("manage.agents")
    assert problem_of(desk.get("audit-schedules/", token=token)) == (403, "insufficient_scope")
    assert problem_of(desk.post("audit-schedules/", WEEKLY, token=token)) == (403, "insufficient_scope")
    assert problem_of(desk.get("audit-schedules/sch_00000000000000000000/"))[0] == 404
    assert problem_of(desk.post("audit-schedules/sch_00000000000000000000/remove/"))[0] == 404


def test_what_belongs_to_another_may_be_seen_and_not_ended(desk: Desk) -> None:
    row = desk.post("audit-schedules/", WEEKLY).json()
    Schedule.objects.update(owner="usr_other")
    path = f"audit-schedules/{row['ref']}/"
    assert desk.get(path).json()["owner"] == "usr_other"
    for verb in ("pause", "resume", "remove"):
        assert problem_of(desk.post(f"{path}{verb}/"))[0] == 403
    assert problem_of(desk.call("PUT", path, WEEKLY))[0] == 403
    assert Schedule.objects.get().version == 1


def test_who_acts_for_a_person_makes_schedules_of_theirs_and_for_a_stranger_none(
    desk: Desk, ben: User, cy: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ScheduleViewSet.initialize_request

    def acting_for(person: User) -> None:
        def initialize(self: ScheduleViewSet, request: Any, *args: Any, **kwargs: Any) -> Any:
            made = kept(self, request, *args, **kwargs)
            object.__setattr__(made.auth, "person", person)
            return made

        monkeypatch.setattr(ScheduleViewSet, "initialize_request", initialize)

    acting_for(cy)
    assert problem_of(desk.post("audit-schedules/", WEEKLY))[0] == 403
    assert problem_of(desk.get("audit-schedules/"))[0] == 403
    acting_for(ben)
    made = desk.post("audit-schedules/", WEEKLY | {"tells": [ben.ref]})
    assert (made.status_code, made.json()["owner"], made.json()["tells"]) == (201, ben.ref, [ben.ref])
    [told] = recorded("audit.schedule.set")
    assert (told["by"], told["subject"]) == (desk.steward.client_id, ben.ref)
    assert desk.post("audit-schedules/", WEEKLY | {"tells": [cy.ref]}).json()["errors"][0]["pointer"] == "/tells"


def test_no_more_than_the_limit_are_set(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.exports.schedules.services.SCHEDULES_MAX_OWNER", 1)
    assert desk.post("audit-schedules/", WEEKLY).status_code == 201
    assert problem_of(desk.post("audit-schedules/", WEEKLY)) == (400, "invalid")
