"""The viewer. Readers are duck-typed here: this room knows no people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse
from django.test import RequestFactory

from audit import endpoints, read, views
from audit.access import may_read
from audit.canonical import decode
from audit.models import InboxRow
from audit.read import Filter
from audit.search import pages
from audit.sequencer import Sequencer
from audit.timeline import gather
from audit.timeline import views as timeline
from audit.timeline.extras import NO_EXTRAS
from audit.write import NOBODY, FailuresCounted, record
from tests.support.log import Recorder

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.unit.audit.urls")]
COURIER = "spiffe://example.org/courier"
SHOWN: list[dict[str, Any]] = []


@dataclass
class Person:
    roles: frozenset[str]
    ref: str = "usr_ben"
    is_authenticated: bool = True

    limits: Any = None

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def log_limits(self) -> Any:
        return self.limits


BEN, CY = Person(frozenset({"auditor"})), Person(frozenset({"approver", "owner"}))
NOBODY_IN_PARTICULAR = Person(frozenset(), is_authenticated=False)


def labels(refs: Collection[str]) -> Mapping[str, str]:
    return {ref: "Courier" for ref in refs if ref == COURIER}


def ask(view: Any, person: Person = BEN, query: str = "", **values: Any) -> HttpResponse:
    request = RequestFactory().get(f"/audit/{query}")
    request.user = person  # type: ignore[assignment]
    extra: dict[str, Any] = (
        {} if view in (views.newer_view, views.proof_view, timeline.redirect_view) else {"labels": labels}
    )
    extra |= {"extras": NO_EXTRAS} if view is timeline.story_view else {}
    return views.guarded(view, **extra)(request, **values)


@pytest.fixture(autouse=True)
def caught(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the pages were given, without the frame of the console around it."""
    shown: list[dict[str, Any]] = []

    def catch(request: object, template: str, context: dict[str, Any]) -> HttpResponse:
        shown.append(context)
        return HttpResponse(template)

    monkeypatch.setattr(views, "render", catch)
    monkeypatch.setattr(pages, "render", catch)
    monkeypatch.setattr(timeline, "render", catch)
    return shown


@pytest.fixture
def told(sequencer: Sequencer, happen: Recorder) -> Sequencer:
    happen(60)
    event = FailuresCounted(source="src_1", code="c", count=1, minute="m")
    facts = replace(
        NOBODY, agent=COURIER, subject="usr_ada", resource="https://pay.example/", action="pay", txn="txn_1"
    )
    with transaction.atomic():
        record(event, by=COURIER, facts=replace(facts, decision="ask"))
        record(event, by="usr_ada", facts=replace(facts, decision="approve"))
    sequencer.run_once()
    return sequencer


def test_auditors_and_admins_read_others_are_told_why_not(told: Sequencer) -> None:
    assert ask(pages.list_view).status_code == 200
    assert ask(pages.list_view, Person(frozenset({"admin"}))).status_code == 200
    for view, values in (
        (pages.list_view, {}),
        (views.entry_view, {"index": 1}),
        (timeline.story_view, {"kind": "txn", "ref": "txn_1"}),
    ):
        with pytest.raises(PermissionDenied, match="Ask an admin"):
            ask(view, CY, **values)
        answer = ask(view, NOBODY_IN_PARTICULAR, **values)
        assert answer.status_code == 302 and answer["Location"].startswith("/sign-in/?next=")
    assert not may_read(None)


def test_reading_is_recorded_by_whom_and_what_but_not_the_words_searched(told: Sequencer) -> None:
    ask(pages.list_view, query="?q=secret-word+agent:courier")
    said = decode(bytes(InboxRow.objects.get().payload))
    assert said["type"] == "audit.log.viewed" and said["by"] == "usr_ben"
    assert said["data"] == {"page": "list", "at": None, "query": ["text", "agent"]}
    InboxRow.objects.all().delete()
    ask(pages.list_view, query="?q=agnt:courier")
    assert decode(bytes(InboxRow.objects.get().payload))["data"]["query"] == []


def test_the_newest_stand_first_and_pages_join_without_gap(told: Sequencer, caught: list[dict[str, Any]]) -> None:
    ask(pages.list_view)
    ask(pages.list_view, query=caught[0]["older"].removeprefix("/audit/"))
    indexes = [row.index for page in caught for row in page["rows"]]
    assert indexes == list(range(62, -1, -1))
    assert caught[1]["older"] == "" and caught[1]["newest"]


def test_names_stand_beside_references(told: Sequencer, caught: list[dict[str, Any]]) -> None:
    ask(pages.list_view)
    approved, asked = caught[0]["rows"][:2]
    assert (asked.who, asked.whom) == ("Courier", "for usr_ada")
    assert (approved.who, approved.whom) == ("usr_ada", "asked by Courier")


@pytest.mark.parametrize(
    ("filter", "indexes"),
    [
        (Filter(agent=COURIER), [62, 61]),
        (Filter(agent="courier"), [62, 61]),
        (Filter(agent="cour*"), [62, 61]),
        (Filter(agent="cour"), []),
        (Filter(agent="spiffe://example.org/ghost"), []),
        (Filter(person="usr_ada"), [62, 61]),
        (Filter(type="audit.log.*"), [0]),
        (Filter(type="audit.log.begun"), [0]),
        (Filter(decision="approve"), [62]),
        (Filter(resource="https://pay.example/"), [62, 61]),
        (Filter(text="txn_1"), [62, 61]),
        (Filter(text="PAY"), [62, 61]),
        (Filter(text="nothing like it"), []),
        (Filter(person="usr_ada", decision="ask"), [61]),
    ],
)
def test_each_filter_finds_what_it_names(told: Sequencer, filter: Filter, indexes: list[int]) -> None:
    assert [entry.index for entry in read.latest(filter, scope=read.EVERYTHING)] == indexes


def test_a_span_of_time_is_cut_at_both_ends(told: Sequencer) -> None:
    at = read.entry(30, scope=read.EVERYTHING).recorded_at
    assert not read.latest(Filter(since_at=at + timedelta(hours=1)), scope=read.EVERYTHING)
    assert not read.latest(Filter(until_at=at - timedelta(hours=1)), scope=read.EVERYTHING)
    around = Filter(since_at=at - timedelta(hours=1), until_at=at + timedelta(hours=1))
    assert len(read.latest(around, limit=999, scope=read.EVERYTHING)) == 63


def test_a_page_is_never_longer_than_its_limit(sequencer: Sequencer, happen: Recorder) -> None:
    happen(230)
    sequencer.run_once()
    assert len(read.latest(Filter(), limit=10_000, scope=read.EVERYTHING)) == read.PAGE_MAX


def test_an_entry_shows_its_exact_bytes_its_proof_and_the_key(told: Sequencer, caught: list[dict[str, Any]]) -> None:
    ask(views.entry_view, index=61)
    assert caught[0]["canon"].encode() == read.entry_bytes(61, scope=read.EVERYTHING)
    assert caught[0]["proof"] == read.tlog_proof(61, scope=read.EVERYTHING) and caught[0]["vkey"] == read.vkey()
    with pytest.raises(Http404):
        ask(views.entry_view, index=9999)
    assert ask(views.proof_view, index=61).content.decode() == read.tlog_proof(61, scope=read.EVERYTHING)
    with pytest.raises(Http404):
        ask(views.proof_view, index=9999)


def test_a_timeline_tells_one_story_in_its_order_and_records_that_it_was_read(
    told: Sequencer, caught: list[dict[str, Any]]
) -> None:
    ask(timeline.story_view, kind="txn", ref="txn_1")
    assert [line.entries for line in caught[0]["told"].lines] == [(61,), (62,)]
    assert decode(bytes(InboxRow.objects.get().payload))["data"] == {"page": "timeline", "at": "txn_1", "query": []}
    for kind, ref, count in (("agent", COURIER, 2), ("person", "usr_ada", 2)):
        ask(timeline.story_view, kind=kind, ref=ref)
        assert len(caught[-1]["told"].lines) == count
    for kind, ref in (("txn", "txn_none"), ("txn", "a b"), ("colour", "red"), ("grant", "grt_none"), ("trace", '"')):
        with pytest.raises(Http404):
            ask(timeline.story_view, kind=kind, ref=ref)
    answer = ask(timeline.redirect_view, txn="txn_1")
    assert answer["Location"] == "/audit/timeline/txn/txn_1/"


def test_a_long_story_is_told_a_page_at_a_time(
    told: Sequencer, caught: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "PAGE", 1)
    monkeypatch.setattr(gather, "RECENT", 1)
    for kind, ref, first, second in (("txn", "txn_1", 61, 62), ("agent", COURIER, 62, 61)):
        ask(timeline.story_view, kind=kind, ref=ref)
        assert [line.entries for line in caught[-1]["told"].lines] == [(first,)]
        onward = caught[-1]["later"] or caught[-1]["earlier"]
        ask(timeline.story_view, query=onward, kind=kind, ref=ref)
        assert [line.entries for line in caught[-1]["told"].lines] == [(second,)]


def test_who_sees_a_part_of_the_log_sees_that_part_of_a_story(told: Sequencer) -> None:
    nobodys = read.Scope(agents=frozenset({"spiffe://example.org/other"}), since_at=None, until_at=None)
    assert read.timeline("txn", "txn_1", scope=nobodys).story.steps == ()
    whole = read.timeline("txn", "txn_1", scope=read.EVERYTHING).story
    assert whole.is_whole and [step.first.index for step in whole.steps] == [61, 62]


def test_the_list_learns_how_many_are_new(told: Sequencer, caught: list[dict[str, Any]]) -> None:
    ask(views.newer_view, query="?shown=60")
    ask(views.newer_view, query="?shown=nonsense")
    assert [shown["count"] for shown in caught] == [3, 63]


def test_entries_as_a_bundle_are_for_readers_only(told: Sequencer) -> None:
    request = RequestFactory().get("/log/tile/entries/000.p/63")
    with pytest.raises(Http404):
        endpoints.bundle(request, "000", "63")
    request.user = BEN  # type: ignore[assignment]
    raw, found = endpoints.bundle(request, "000", "63").content, []
    while raw:
        length = int.from_bytes(raw[:2])
        found.append(raw[2 : 2 + length])
        raw = raw[2 + length :]
    assert found == [read.entry_bytes(index, scope=read.EVERYTHING) for index in range(63)]
