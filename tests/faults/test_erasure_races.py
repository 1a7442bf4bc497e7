"""An erasure, a hold and retention against whatever happens at the same moment: nothing half-done, nothing readable after."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from aims.compliance.errors import ErasureHeld
from aims.compliance.kinds import ConsentKind
from aims.compliance.models import Consent
from aims.compliance.services import consents, keeping
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people import services as people
from aims.people.errors import PersonWasErased
from aims.people.models import User
from audit.access import EVERYTHING
from audit.canonical import decode
from audit.exports import services as exports
from audit.exports import store as bundles
from audit.keeping import erasing, holds, keystore, retention, state
from audit.keeping.models import Erasure, Gone, Hold, PersonalValue
from audit.models import Entry, InboxRow
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.support.log import log_key, sequencer, written_once
from tests.support.racing import at_once, overtaken
from tests.support.two_connections import two_connections
from tests.unit.audit.keeping.conftest import Past, past
from tests.unit.compliance.test_consents import confirm, somebody
from tests.unit.people.driver import Somebody

__all__ = ["log_key", "past", "sequencer", "two_connections", "written_once"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("written_once", "two_connections")]
ROUNDS = range(3)
NAME, LATER, ADDRESS = "Zoe Quillfeather", "Zoe Quillfeather-Jones", "203.0.113.77"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
Verb = Callable[[], Any]


@pytest.fixture(autouse=True)
def _apart(two_connections: Path | None, tmp_path: Path, settings: Settings) -> Iterator[None]:
    settings.PERSON_KEYS = str(tmp_path / "keys.sqlite3")
    settings.EXPORT_DIR = str(tmp_path / "exports")
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def zoe() -> User:
    return people.create_person(email="zoe@example.org", name=NAME, by="cli:op", now=clock.now())


def begin(person: User) -> Erasure:
    """The first half, without the consent that its caller brings."""
    with transaction.atomic():
        words = people.blank(User.objects.get(pk=person.pk), by="cli:op", now=clock.now())
        return erasing.begin(person.ref, basis="request", by="cli:op", now=clock.now(), words=words)


def erase(person: User) -> Verb:
    def both() -> Erasure:
        erasure = begin(person)
        erasing.finish(erasure, now=clock.now())
        return erasure

    return both


def rename(person: User) -> Verb:
    held = User.objects.get(pk=person.pk)
    return lambda: people.change_profile(held, by=held.ref, now=clock.now(), name=LATER)


def said(kind: str) -> list[dict[str, Any]]:
    raws = [*InboxRow.objects.values_list("payload", flat=True), *Entry.objects.values_list("canon", flat=True)]
    return [entry["data"] for entry in map(decode, map(bytes, raws)) if entry["type"] == kind]


def must_be_gone(person: User) -> None:
    """Nothing of the person is left once the next sweep has looked, and what was late was unreadable before."""
    assert keystore.key_of(person.ref) is None
    keeping.sweep(clock.now())
    assert not PersonalValue.objects.filter(person=person.ref).exists()
    person.refresh_from_db()
    assert (person.name, person.is_active) == ("Erased person", False)
    assert [row.state for row in Erasure.objects.filter(person=person.ref)] == ["done"]
    assert len(said("audit.person.erased")) == len(said("audit.erasure.finished")) == Erasure.objects.count()


@pytest.mark.parametrize("_round", ROUNDS)
def test_a_value_that_is_recorded_at_the_same_moment_is_gone_or_was_refused(zoe: User, _round: int) -> None:
    erased, renamed = at_once(erase(zoe), rename(zoe))
    assert isinstance(erased, Erasure) and (renamed is None or isinstance(renamed, AimsError))
    must_be_gone(zoe)


@pytest.mark.scaled
def test_who_writes_behind_an_erasure_that_is_committing_is_refused(zoe: User) -> None:
    erased, renamed = overtaken(lambda: begin(zoe), rename(zoe))
    assert isinstance(renamed, PersonWasErased)
    erasing.finish(erased, now=clock.now())
    must_be_gone(zoe)


@pytest.mark.scaled
def test_what_was_being_written_goes_with_the_erasure_that_waited_for_it(zoe: User) -> None:
    renamed, erased = overtaken(rename(zoe), erase(zoe))
    assert renamed is None and isinstance(erased, Erasure)
    must_be_gone(zoe)


@pytest.mark.parametrize("_round", ROUNDS)
def test_an_export_that_runs_at_the_same_moment_leaves_no_bundle(zoe: User, sequencer: Sequencer, _round: int) -> None:
    sequencer.run_once()
    wanted = [exports.Wanted(name="all", query="", first=0, end=None)]
    row = exports.ask(
        kind="range", title=f"What {NAME} did", sets=wanted, formats=["jsonl"], scope=EVERYTHING, by="usr_1",
        now=clock.now(),
    )  # fmt: skip
    erased, _ran = at_once(erase(zoe), lambda: exports.run_due(now=clock.now()))
    assert isinstance(erased, Erasure)
    row.refresh_from_db()
    kept = [path.name for path in bundles.folder().iterdir()]
    assert (row.title, kept) == ("(erased)", []), row.state
    assert row.state in ("cancelled", "expired")
    must_be_gone(zoe)


def test_two_erasures_of_one_person_at_once_are_one(zoe: User) -> None:
    adm, bo = somebody("adm", "admin"), somebody("bo", "admin")
    one, other = (agreed(zoe, adm, bo) for _ in range(2))
    results = at_once(with_consent(zoe, one), with_consent(zoe, other))
    assert sorted(type(each).__name__ for each in results) == ["Erasure", "PersonWasErased"]
    states = sorted(Consent.objects.values_list("state", flat=True))
    assert states == ["confirmed", "used"], "the one that did nothing used nothing up"
    must_be_gone(zoe)


@pytest.mark.parametrize("_round", ROUNDS)
def test_two_who_finish_one_erasure_say_so_once(zoe: User, _round: int) -> None:
    erasure = begin(zoe)
    results = at_once(*[lambda: erasing.finish(erasure, now=clock.now())] * 2)
    assert sorted(results) == [False, True]
    must_be_gone(zoe)


@pytest.mark.parametrize("_round", ROUNDS)
def test_a_hold_placed_at_the_same_moment_stops_all_of_an_erasure_or_none(zoe: User, _round: int) -> None:
    adm, bo = somebody("adm", "admin"), somebody("bo", "admin")
    consent = agreed(zoe, adm, bo)
    hold = lambda: keeping.place_hold("person", person=zoe.ref, reason="Case 17", by="usr_1", now=clock.now())  # noqa: E731
    erased, held = at_once(with_consent(zoe, consent), hold)
    assert isinstance(held, Hold)
    consent.refresh_from_db()
    if isinstance(erased, Erasure):
        assert consent.state == "used"
        must_be_gone(zoe)
        return
    assert isinstance(erased, ErasureHeld)
    zoe.refresh_from_db()
    assert (zoe.name, consent.state, Erasure.objects.count()) == (NAME, "confirmed", 0)
    assert PersonalValue.objects.filter(person=zoe.ref).count() == 2 and keystore.key_of(zoe.ref)


@pytest.fixture
def months(past: Past) -> None:
    """Entry 0 begins the log; 1 to 3 in January 2025, 4 in February, 5 now."""
    for moment, count in ((datetime(2025, 1, 10, tzinfo=UTC), 3), (datetime(2025, 2, 10, tzinfo=UTC), 1), (NOW, 1)):
        past(moment, count)


def place() -> Hold:
    return holds.place("all", reason="Case 17", by="usr_1", now=NOW)


@pytest.mark.parametrize("_round", ROUNDS)
def test_a_month_that_is_held_at_the_same_moment_goes_whole_or_stays_whole(
    months: None, sequencer: Sequencer, _round: int
) -> None:
    went, held = at_once(lambda: retention.apply(NOW), place)
    assert isinstance(held, Hold)
    retention.apply(NOW + timedelta(days=1))  # the hold is in force: whatever is left stays
    first = Entry.objects.order_by("index").values_list("index", flat=True).first()
    gone = list(Gone.objects.values_list("month", flat=True))
    assert (first, state.minimum(), gone[:1]) == ((4, 4, ["2025-01"]) if went else (0, 0, []))
    sequencer.run_once()
    assert verify_log().is_good


@pytest.mark.scaled
def test_retention_waits_for_a_hold_that_is_committing_and_minds_it(months: None) -> None:
    held, went = overtaken(place, lambda: retention.apply(NOW))
    assert isinstance(held, Hold) and went is None
    assert Entry.objects.filter(index=1).exists()


def in_files(path: Path) -> list[str]:
    """Return which words of Zoe's stand in the database's files."""
    raws = [each.read_bytes() for each in path.parent.glob("aims.sqlite3*")]
    return [word for word in (NAME, LATER, "zoe@example.org") if any(word.encode() in raw for raw in raws)]


def test_the_files_hold_nothing_of_an_erased_person(zoe: User, two_connections: Path | None) -> None:
    """On SQLite nothing is left in the file and beside it; on PostgreSQL the tables were vacuumed."""
    for name in ("Ben", "Cy"):  # rows beside hers, so that the page is not simply written anew
        people.create_person(email=f"{name}@example.org", name=name, by="cli:op", now=clock.now())
    people.change_profile(zoe, by=zoe.ref, now=clock.now(), name=LATER)
    assert two_connections is None or len(in_files(two_connections)) == 3
    with CaptureQueriesContext(connection) as asked:
        erasing.finish(begin(zoe), now=clock.now())
        people.vacuum_erased()
    if two_connections is None:
        vacuumed = {each["sql"].split()[-1] for each in asked if each["sql"].startswith("VACUUM")}
        assert {"audit_personal", "people_user"} <= vacuumed
        return
    assert in_files(two_connections) == []
    with sqlite3.connect(two_connections) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def agreed(person: User, asker: Somebody, other: Somebody) -> Consent:
    params = {"person": person.ref, "basis": "request"}
    consent = consents.ask(
        ConsentKind.PERSON_ERASE, params, reason="request", note="", by=asker.person, now=clock.now()
    )  # fmt: skip
    confirm(consent, other)
    return consent


def with_consent(person: User, consent: Consent) -> Verb:
    return lambda: keeping.erase_person(
        person.ref, basis="request", consent=consent.ref, by="usr_1", now=clock.now()
    )  # fmt: skip
