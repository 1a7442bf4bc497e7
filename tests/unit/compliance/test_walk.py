"""An auditor with a seat walks every address at which the log can be read: what is outside their part is nowhere.

The URLconf is walked, so that a page that comes later is walked too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from aims.kit import clock
from aims.people import services as people
from aims.people.queries import person_by_email
from audit import read
from audit.models import Entry
from audit.sequencer import Sequencer
from audit.write import NOBODY, FailuresCounted, record
from tests.support.cast import browser_of, someone
from tests.support.log import log_key, sequencer
from tests.unit.test_who_sees_what import addresses

__all__ = ["log_key", "sequencer"]

pytestmark = pytest.mark.django_db
COURIER, SECRET = "spiffe://acme.example/agent/courier", "spiffe://acme.example/agent/hidden-one"
READS_THE_LOG = re.compile(r"^(audit|compliance|log/tile/entries|observability|findings|reports)")
# What only entries outside the seat hold. None of it is a part of an address below, which a page may say again.
MARKS = (b"hidden-one", b"hidden-resource", b"hidden-remedy", b"src_hidden", b"usr_hidden")
NONCE = re.compile(rb'nonce="[^"]+"')
SEARCHES = ("", "?q=", "?text=", "?type=audit.failures.counted", "?q=type:audit.*", "?q=-decision:allow", "?before=99")


@pytest.fixture
def outside(sequencer: Sequencer) -> list[int]:
    """Return the indexes outside the seat: about another agent, about none, in the same transaction as ones inside."""
    cache.clear()
    seen = FailuresCounted(source="src_seen", code="c", count=1, minute="m")
    hidden = FailuresCounted(source="src_hidden", code="c", count=1, minute="m")
    facts = replace(NOBODY, resource="https://hidden-resource.example/", remediation="hidden-remedy", txn="txn_1")
    with transaction.atomic():
        for agent, event in ((COURIER, seen), (SECRET, hidden), (None, hidden), (COURIER, seen)):
            said = replace(NOBODY, txn="txn_1") if event is seen else replace(facts, subject="usr_hidden")
            record(event, by=agent or "system", facts=replace(said, agent=agent))
    sequencer.run_once()
    return list(Entry.objects.exclude(agent=COURIER).order_by("index").values_list("index", flat=True))


@pytest.fixture
def eve(outside: list[int]) -> Client:
    """A guest with a seat before Courier."""
    now = clock.now()
    terms = people.SeatTerms(
        is_guest=True,
        until_at=now + timedelta(days=1),
        agents=(COURIER,),
        period_since_at=None,
        period_until_at=None,
    )
    seat, _token = people.open_seat("eve@audit.example", terms, by="usr_adm", now=now)
    return browser_of(seat.person)


def places(outside: list[int]) -> list[str]:
    """Return every address that reads the log, with each value that names something outside the seat."""
    strings = ["txn_1", Entry.objects.get(index=outside[-1]).event_id, "usr_hidden", "agent", "txn", SECRET]
    found = set()
    for route in filter(READS_THE_LOG.match, addresses()):
        for index in outside:
            for text in strings:
                path = re.sub(r"<int:\w+>", str(index), route)
                path = re.sub(r"<(?:str|slug|path):(?:kind)>", "txn", path)
                found.add("/" + re.sub(r"<[^>]+>", text.replace("/", "%2F"), path))
    return sorted(found | {f"/log/tile/entries/000.p/{read.size()}"})


def test_a_scoped_auditor_finds_nothing_outside_at_any_address(outside: list[int], eve: Client) -> None:
    walked = places(outside)
    assert len(walked) > 10
    for path in walked:
        for query in SEARCHES:
            answer = eve.get(path + query)
            body = b"".join(answer) if answer.streaming else answer.content
            leaks = [mark for mark in MARKS if mark in body and mark.decode() not in path]
            assert not leaks, (path + query, answer.status_code, leaks)


def test_an_entry_outside_is_not_told_from_one_that_is_not_there(outside: list[int], eve: Client) -> None:
    for route in ("/audit/{}/", "/audit/{}/proof"):
        there, nowhere = (eve.get(route.format(index)) for index in (outside[-1], 987_654))
        assert there.status_code == nowhere.status_code == 404
        assert NONCE.sub(b"", there.content) == NONCE.sub(b"", nowhere.content)


def test_what_is_inside_is_found_and_its_reading_recorded(
    outside: list[int], eve: Client, sequencer: Sequencer
) -> None:
    inside = Entry.objects.filter(agent=COURIER).order_by("index").values_list("index", flat=True)[0]
    assert b"src_seen" in eve.get(f"/audit/{inside}/").content
    assert eve.get(f"/audit/{inside}/proof", headers={"HX-Request": "true"}).status_code == 200
    sequencer.run_once()
    person = someone_named("eve@audit.example")
    pages = [(entry.data["page"], entry.data["at"]) for entry in read.readings(person)]
    assert pages == [("proof", str(inside)), ("entry", str(inside))], "also what claims to come from the bell"
    assert b"proof" in eve.get("/compliance/reading/").content


def test_a_whole_reader_sees_it_all_so_the_walk_looks_at_something(outside: list[int]) -> None:
    ben = browser_of(someone("Ben", "auditor"))
    assert b"hidden-remedy" in ben.get(f"/audit/{outside[-1]}/").content
    assert b"src_hidden" in ben.get(f"/log/tile/entries/000.p/{read.size()}").content


def someone_named(email: str) -> str:
    person = person_by_email(email)
    assert person is not None
    return person.ref
