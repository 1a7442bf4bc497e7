"""The list of the log: queries, chips, facets, the histogram, suggestions, and searches that are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory

from audit import forms, views
from audit.canonical import decode
from audit.models import InboxRow, SavedSearch
from audit.search import deadline, pages, saved
from audit.sequencer import Sequencer
from audit.write import NOBODY, FailuresCounted, record, vocabulary

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.unit.audit.urls")]
COURIER, MAGPIE = "spiffe://example.org/courier", "spiffe://example.org/magpie"


@dataclass
class Limits:
    agents: tuple[str, ...] | None
    since_at: Any = None
    until_at: Any = None


@dataclass
class Person:
    ref: str
    roles: frozenset[str] = frozenset({"auditor"})
    is_authenticated: bool = True
    limits: Limits | None = None

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def log_limits(self) -> Limits | None:
        return self.limits


BEN, ADA = Person("usr_ben"), Person("usr_ada", frozenset({"admin"}))
CY = Person("usr_cy", frozenset({"approver"}))
CAGED = Person("usr_eve", limits=Limits((MAGPIE,)))


def labels(refs: Collection[str]) -> Mapping[str, str]:
    return {ref: name for ref, name in ((COURIER, "Courier"), ("usr_ada", "Ada Lindqvist")) if ref in refs}


@pytest.fixture(autouse=True)
def caught(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the page was given, without the frame of the console around it."""
    shown: list[dict[str, Any]] = []

    def catch(request: object, template: str, context: dict[str, Any]) -> HttpResponse:
        shown.append(context)
        return HttpResponse(template)

    monkeypatch.setattr(pages, "render", catch)
    return shown


@pytest.fixture
def told(sequencer: Sequencer) -> Sequencer:
    event = FailuresCounted(source="src_1", code="policy_denied", count=1, minute="m")
    with transaction.atomic():
        for number, (agent, decision) in enumerate(
            ((COURIER, "allow"), (COURIER, "deny"), (MAGPIE, "deny"), (None, None))
        ):
            facts = replace(
                NOBODY, agent=agent, decision=decision, resource="https://pay.example/", txn=f"txn_{number}"
            )
            record(event, by="usr_ada", facts=facts)
    sequencer.run_once()
    return sequencer


def sent(method: str, address: str, person: Person, **data: str) -> HttpRequest:
    make = getattr(RequestFactory(), method)
    request: HttpRequest = make(address, data)
    request.user = person  # type: ignore[assignment]
    return request


def look(person: Person = BEN, **query: str) -> HttpResponse:
    return views.guarded(pages.list_view, labels=labels)(sent("get", "/audit/", person, **query))


def indexes(shown: dict[str, Any]) -> list[int]:
    return [row.index for row in shown["rows"]]


def test_a_query_finds_and_its_parts_can_be_taken_away(told: Sequencer, caught: list[dict[str, Any]]) -> None:
    look(q="agent:courier decision:denied policy_denied")
    assert indexes(caught[0]) == [2]
    assert [chip["text"] for chip in caught[0]["chips"]] == ["agent:courier", "decision:denied", "policy_denied"]
    without = parse_qs(urlsplit(caught[0]["chips"][1]["href"]).query)
    look(q=without["q"][0])
    assert indexes(caught[1]) == [2, 1]


def test_a_wrong_query_is_shown_where_it_is_wrong_and_finds_nothing(
    told: Sequencer, caught: list[dict[str, Any]]
) -> None:
    look(q="decision:denied agnt:courier")
    error = caught[0]["error"]
    assert (error["start"], error["end"], error["nearest"]) == (16, 20, "agent")
    assert error["line"][error["carets"].index("^") :].startswith("agnt")
    assert parse_qs(urlsplit(error["href"]).query)["q"] == ["decision:denied agent:courier"]
    assert caught[0]["rows"] == [] and caught[0]["counts"] is None and caught[0]["q"] == "decision:denied agnt:courier"


def test_facets_count_and_toggle_and_the_histogram_narrows(told: Sequencer, caught: list[dict[str, Any]]) -> None:
    look(q="resource:pay")
    counts = caught[0]["counts"]
    assert (counts["total"], counts["is_exact"]) == (4, True)
    facets = {facet["label"]: facet["values"] for facet in counts["facets"]}
    agent = facets["Agent"][0]
    assert (agent["text"], agent["sub"], agent["n"], agent["is_on"]) == ("Courier", COURIER, 2, False)
    toggled = parse_qs(urlsplit(agent["href"]).query)["q"][0]
    look(q=toggled)
    values = {facet["label"]: facet["values"] for facet in caught[1]["counts"]["facets"]}["Agent"]
    assert values[0]["is_on"] and parse_qs(urlsplit(values[0]["href"]).query)["q"] == ["resource:pay"]
    (bar,) = [bar for bar in counts["bars"] if bar["n"]]
    assert (bar["n"], bar["yes"], bar["no"], bar["waiting"]) == (4, 1, 2, 0)
    look(q=parse_qs(urlsplit(bar["href"]).query)["q"][0])
    assert len(indexes(caught[2])) == 4


def test_a_facet_says_no_decision_in_words_and_tells_kinds_of_one_name_apart(
    told: Sequencer, caught: list[dict[str, Any]]
) -> None:
    look()
    facets = {facet["label"]: facet["values"] for facet in caught[0]["counts"]["facets"]}
    assert "not_applicable" not in {value["text"] for value in facets["Decision"]}
    titles = [str(event.title) for event in vocabulary().values()]
    assert all(value["is_double"] == (titles.count(value["text"]) > 1) for value in facets["Kind"])


def test_what_is_outside_a_readers_scope_is_neither_found_nor_counted_nor_suggested(
    told: Sequencer, caught: list[dict[str, Any]]
) -> None:
    look(CAGED, q="resource:pay")
    assert indexes(caught[0]) == [3] and caught[0]["counts"]["total"] == 1
    look(CAGED, q="policy_denied")
    assert indexes(caught[1]) == [3] and caught[1]["counts"]["total"] == 1
    look(CAGED, q="agent:courier")
    assert indexes(caught[2]) == [] and caught[2]["counts"]["total"] == 0
    assert suggestions("agent:", CAGED) == [MAGPIE]
    assert suggestions("by:", CAGED) == []


def suggestions(text: str, person: Person = BEN) -> list[str]:
    answer = pages.suggest_view(sent("get", "/audit/suggest/", person, q=text), labels=labels)
    return [each["insert"] for each in decode(answer.content)["suggestions"]]


@pytest.mark.parametrize(
    ("text", "inserts"),
    [
        ("ag", ["agent:"]),
        ("decision:den", ["denied"]),
        ("decision:(asked den", ["denied"]),
        ("-decision:den", ["denied"]),
        ("agent:cour", [COURIER]),
        ("agent:COURIER", [COURIER]),
        ("by:lind", ["usr_ada"]),
        ("after:to", ["today"]),
        ("agent:nobody", []),
        ("txn:txn_", []),
        ("nofield:x", []),
        ("", []),
        ("agent:courier ", []),
    ],
)
def test_what_may_come_next_is_suggested(told: Sequencer, text: str, inserts: list[str]) -> None:
    assert suggestions(text) == inserts


def test_an_old_address_with_filters_leads_to_the_same_as_a_query(told: Sequencer) -> None:
    answer = look(agent=COURIER, type="audit.*", decision="deny", text="policy_denied", since="2026-01-01", before="9")
    assert answer.status_code == 302
    query = parse_qs(urlsplit(answer["Location"]).query)
    assert query["before"] == ["9"]
    assert query["q"] == [f"policy_denied agent:{COURIER} type:audit.* decision:denied after:2026-01-01T00:00:00.000Z"]


def test_a_search_that_takes_too_long_says_so(
    told: Sequencer, caught: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "TIMEOUT_S", -1.0)
    look(q="agent:courier")
    assert "Narrow it" in caught[0]["error"]["message"] and caught[0]["rows"] == []


def keep(person: Person, q: str, name: str, **more: str) -> HttpResponse:
    return views.changing(pages.save_view)(sent("post", "/audit/searches/", person, q=q, name=name, **more))


def test_a_search_is_kept_shared_and_deleted_and_the_log_knows_no_word_of_it(told: Sequencer) -> None:
    answer = keep(BEN, "agent:courier  policy_denied", "Ben's own", is_shared="on")
    row = SavedSearch.objects.get()
    assert answer["Location"] == f"/audit/s/{row.slug}/"
    assert (row.query, row.owner, row.is_shared) == ("agent:courier policy_denied", "usr_ben", True)
    assert open_kept(ADA, row.slug)["Location"] == "/audit/?q=agent%3Acourier+policy_denied"
    with pytest.raises(Http404):
        views.changing(pages.delete_view)(sent("post", "/", ADA), slug=row.slug)
    views.changing(pages.delete_view)(sent("post", "/", BEN), slug=row.slug)
    said = [decode(bytes(entry.payload)) for entry in InboxRow.objects.order_by("pk")]
    assert [entry["type"] for entry in said] == ["audit.search.saved", "audit.search.deleted"]
    assert all(entry["data"]["search"] == row.slug and entry["by"] == "usr_ben" for entry in said)
    assert b"courier" not in b"".join(bytes(entry.payload) for entry in InboxRow.objects.all())
    with pytest.raises(Http404):
        open_kept(BEN, row.slug)


def open_kept(person: Person, slug: str) -> HttpResponse:
    return views.guarded(pages.kept_view)(sent("get", f"/audit/s/{slug}/", person), slug=slug)


def test_what_somebody_keeps_for_themselves_is_not_there_for_others(told: Sequencer) -> None:
    keep(BEN, "agent:courier", "mine")
    slug = SavedSearch.objects.get().slug
    assert open_kept(BEN, slug).status_code == 302
    with pytest.raises(Http404):
        open_kept(ADA, slug)
    assert [kept.name for kept in saved.kept_for("usr_ada")] == []
    with pytest.raises(PermissionDenied):
        open_kept(CY, slug)
    with pytest.raises(PermissionDenied):
        keep(CY, "agent:courier", "x")


@pytest.mark.parametrize(
    ("q", "name"), [("agnt:x", "wrong"), ("agent:x", ""), ("agent:x", " "), ("agent:x", "n" * (forms.NAME_MAX + 1))]
)
def test_only_a_query_that_can_be_read_is_kept_under_a_name(told: Sequencer, q: str, name: str) -> None:
    assert keep(BEN, q, name).status_code == 302
    assert not SavedSearch.objects.exists() and not InboxRow.objects.exists()


def test_nobody_keeps_more_searches_than_one_may(told: Sequencer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "SEARCHES_MAX", 1)
    assert [keep(BEN, "agent:a", "one").status_code, keep(BEN, "agent:a", "two").status_code] == [302, 409]
    assert SavedSearch.objects.count() == 1


def test_every_search_that_comes_with_the_console_can_be_read_and_finds(
    told: Sequencer, caught: list[dict[str, Any]]
) -> None:
    for preset in saved.PRESETS:
        address = open_kept(BEN, preset.slug)["Location"]
        look(q=parse_qs(urlsplit(address).query)["q"][0])
    assert [shown["error"] for shown in caught] == [None] * len(saved.PRESETS)
