"""Feeds over the API: made, read, paused, tested, ended; and what can't be asked."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aims.people.models import User
from audit.feeds import services
from audit.feeds.api import FeedViewSet
from audit.feeds.delivering import key_of
from audit.feeds.models import Feed
from audit.sequencer import Sequencer
from tests.protocol.api.conftest import Desk, problem_of, recorded

SIEM = {"name": "SIEM", "kind": "http", "address": "https://siem.example/in"}
SCOPE = "manage.feeds"


def test_a_feed_is_made_read_paused_resumed_tested_and_ended(desk: Desk, sequencer: Sequencer) -> None:
    sequencer.run_once()
    token = desk.issue(SCOPE)
    made = desk.post("audit-feeds/", SIEM | {"is_from_start": True}, token=token)
    shown = made.json()
    assert (made.status_code, shown["state"], shown["format"], shown["cursor"]) == (201, "active", "canonical", -1)
    assert (shown["created_by"], shown["trouble"], shown["delivered_at"]) == (desk.steward.client_id, "", None)
    assert shown["lag"] > 0
    assert base64.b64decode(shown["key"]) == key_of(shown["ref"])
    [listed] = desk.get("audit-feeds/", token=token).json()
    assert listed["ref"] == shown["ref"] and "key" not in listed
    path = f"audit-feeds/{shown['ref']}/"
    for verb, state in (("pause", "paused"), ("resume", "active")):
        assert desk.post(f"{path}{verb}/", token=token).json()["state"] == state
        assert problem_of(desk.post(f"{path}{verb}/", token=token)) == (409, "conflict")
    assert desk.post(f"{path}test/", token=token).status_code == 200
    assert Feed.objects.get().test_due
    assert desk.post(f"{path}end/", token=token).json()["ref"] == shown["ref"]
    for method, target in (("GET", path), ("POST", f"{path}end/"), ("POST", f"{path}pause/"), ("POST", f"{path}test/")):
        assert problem_of(desk.call(method, target, token=token))[0] == 404
    told = [row for kind in ("created", "paused", "resumed", "deleted") for row in recorded(f"audit.feed.{kind}")]
    assert [row["by"] for row in told] == [desk.steward.client_id] * 4
    assert "siem.example" not in str(told)


def test_a_feed_from_now_on_begins_behind_what_there_is_and_syslog_has_no_key(desk: Desk, sequencer: Sequencer) -> None:
    size = sequencer.run_once()
    shown = desk.post("audit-feeds/", {"name": "S", "kind": "syslog", "address": "tls://siem.example"}).json()
    assert (shown["cursor"], shown["key"]) == (size - 1, None)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "/name"),
    ({"name": 7}, "/name"),
    ({"name": "x" * 101}, "/name"),
    ({"kind": "ftp"}, "/kind"),
    ({"kind": None}, "/kind"),
    ({"format": "xml"}, "/format"),
    ({"address": "siem.example"}, "/address"),
    ({"address": "ftp://siem.example"}, "/address"),
    ({"address": "https://user:word@siem.example/"}, "/address"),
    ({"address": "https://siem.example/#x"}, "/address"),
    ({"address": "tls://siem.example"}, "/address"),
    ({"address": "https://[/"}, "/address"),
    ({"address": "https://siem.example:99999/"}, "/address"),
    ({"address": "https://" + "x" * 2048}, "/address"),
    ({"kind": "syslog", "address": "tls://siem.example/path"}, "/address"),
    ({"is_from_start": "yes"}, "/is_from_start"),
    ({"is_from_start": 1}, "/is_from_start"),
    ({"cursor": 7}, "/cursor"),
    ({"state": "paused"}, "/state"),
]


def test_what_can_not_be_asked_is_named_and_makes_nothing(desk: Desk) -> None:
    for wrong, pointer in WRONG:
        answer = desk.post("audit-feeds/", SIEM | wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer), wrong
    assert not Feed.objects.exists()


def test_reading_the_log_is_not_giving_it_away(desk: Desk) -> None:
    made = desk.post("audit-feeds/", SIEM).json()
    token = desk.issue("read.audit")
    for method, path in (
        ("GET", ""), ("POST", ""), ("GET", f"{made['ref']}/"), ("POST", f"{made['ref']}/pause/"), ("POST", f"{made['ref']}/end/"),
    ):  # fmt: skip
        answer = desk.call(method, f"audit-feeds/{path}", SIEM if not path else None, token=token)
        assert problem_of(answer) == (403, "insufficient_scope"), path
    assert Feed.objects.get().state == "active"


def test_who_acts_for_somebody_gives_it_away_for_an_admin_only(
    desk: Desk, ben: User, adm: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = FeedViewSet.initialize_request

    def acting_for(person: User) -> None:
        def initialize(self: FeedViewSet, request: Any, *args: Any, **kwargs: Any) -> Any:
            made = kept(self, request, *args, **kwargs)
            object.__setattr__(made.auth, "person", person)
            return made

        monkeypatch.setattr(FeedViewSet, "initialize_request", initialize)

    acting_for(ben)
    assert problem_of(desk.post("audit-feeds/", SIEM)) == (403, "insufficient_scope")
    assert problem_of(desk.get("audit-feeds/")) == (403, "insufficient_scope")
    acting_for(adm)
    assert desk.post("audit-feeds/", SIEM).status_code == 201


def test_there_are_no_more_than_the_limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "FEEDS_MAX", 1)
    assert desk.post("audit-feeds/", SIEM).status_code == 201
    answer = desk.post("audit-feeds/", SIEM)
    assert problem_of(answer) == (400, "invalid") and answer.json()["errors"][0]["pointer"] == ""
