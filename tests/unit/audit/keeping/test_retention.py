"""Whole months go, oldest first; hashes stay; nothing goes that must not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from audit import notes, read
from audit.access import EVERYTHING
from audit.errors import EntryGone, NoSuchEntry
from audit.keeping import holds, retention, state
from audit.keeping.errors import RetentionRefused
from audit.keeping.models import Keeping
from audit.models import Entry, Rollup, Term, Tile
from audit.partitions import Month
from audit.sequencer import Sequencer
from audit.tilecheck import check_tiles
from audit.verify import verify_log
from tests.unit.audit.keeping.conftest import Past

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 28, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = (datetime(2025, month, 10, tzinfo=UTC) for month in (1, 2, 3))
AGENT = "spiffe://acme.example/agent/courier"


@pytest.fixture
def months(past: Past) -> None:
    """Entry 0 begins the log; 1 to 300 in January, 301 to 304 in February, 305 in November 2026."""
    past(JANUARY, 300, agent=AGENT, subject="usr_ada")
    past(FEBRUARY, 4)
    past(NOW, 1)


def test_the_oldest_month_goes_with_its_counts_and_its_words_and_only_that_is_said(months: None) -> None:
    due = retention.apply(NOW)
    assert due == retention.Due(Month(2025, 1), 0, 301)
    assert Entry.objects.order_by("index").values_list("index", flat=True).first() == 301
    assert not Rollup.objects.filter(hour__lt=Month(2025, 2).begins_at).exists()
    assert sorted(Term.objects.values_list("month", flat=True).distinct()) == [202502, 202611]


def test_the_log_tells_what_went(months: None, sequencer: Sequencer) -> None:
    retention.apply(NOW)
    sequencer.run_once()
    said = Entry.objects.get(type="audit.retention.applied")
    told = json.loads(bytes(said.canon))["data"]
    assert told == {"month": "2025-01", "first": 0, "end": 301, "policy_months": 13}


def test_who_asks_for_an_entry_that_went_is_told_when(months: None) -> None:
    retention.apply(NOW)
    for ask in (read.entry, read.entry_bytes):
        with pytest.raises(EntryGone, match="entry 7 is gone by retention on 2026-11-28") as gone:
            ask(7, scope=EVERYTHING)
        assert isinstance(gone.value, NoSuchEntry)
    assert read.entry(301, scope=EVERYTHING).index == 301
    with pytest.raises(NoSuchEntry, match="no entry 999"):
        read.entry(999, scope=EVERYTHING)


def test_the_hashes_stay_so_that_an_entry_that_somebody_kept_is_still_proven(months: None) -> None:
    before = read.tlog_proof(7, scope=EVERYTHING)
    retention.apply(NOW)
    assert read.tlog_proof(7, scope=EVERYTHING) == before


def test_one_month_a_day_however_much_is_due(months: None) -> None:
    assert retention.apply(NOW)
    assert retention.apply(NOW + timedelta(hours=1)) is None
    later = retention.apply(NOW + timedelta(days=1))
    assert later is not None
    assert (later.first, later.end) == (301, 305)
    assert retention.apply(NOW + timedelta(days=2)) is None


@pytest.mark.parametrize(
    ("moment", "goes"),
    [(datetime(2026, 2, 28, 23, 59, tzinfo=UTC), False), (datetime(2026, 3, 1, tzinfo=UTC), True)],
)
def test_nothing_goes_that_is_younger_than_the_policy(months: None, moment: datetime, goes: bool) -> None:
    assert bool(retention.apply(moment)) is goes


def test_the_newest_month_never_goes(past: Past) -> None:
    past(JANUARY, 3)
    assert retention.apply(NOW) is None


def test_nothing_goes_before_a_checkpoint_covers_it(past: Past) -> None:
    past(JANUARY, 3, is_signed=False)
    past(NOW, 1, is_signed=False)
    assert retention.apply(NOW) is None
    due = retention.next_due(NOW)
    assert due is not None
    assert due.blocked == "unsigned"


def test_nothing_goes_before_the_witnesses_that_the_policy_asks_for_have_cosigned_it(
    months: None, settings: Settings, tmp_path: Path
) -> None:
    key = notes.key_of(Ed25519PrivateKey.generate(), "witness.example/w1", notes.COSIGNATURE)
    settings.TLOG_POLICY = str(tmp_path / "policy")
    Path(settings.TLOG_POLICY).write_text(f"witness w1 {key}\nquorum w1\n")
    due = retention.next_due(NOW)
    assert due is not None
    assert due.blocked == "uncosigned"
    assert retention.apply(NOW) is None


@pytest.mark.parametrize(
    "hold",
    [
        {"kind": "all"},
        {"kind": "person", "person": "usr_ada"},
        {"kind": "agent", "agent": AGENT},
        {"kind": "period", "since_at": JANUARY, "until_at": FEBRUARY},
        {"kind": "period", "until_at": datetime(2025, 1, 1, 0, 0, 1, tzinfo=UTC)},
    ],
)
def test_nothing_goes_that_a_hold_touches_until_it_is_released(months: None, hold: dict[str, str]) -> None:
    placed = holds.place(**hold, reason="Case 17", by="usr_eve", now=NOW)  # type: ignore[arg-type]
    due = retention.next_due(NOW)
    assert due is not None
    assert (due.blocked, due.holds) == ("held", (placed.ref,))
    assert retention.apply(NOW) is None
    holds.release(placed.ref, by="usr_eve", now=NOW)
    assert retention.apply(NOW)


@pytest.mark.parametrize(
    "hold",
    [
        {"kind": "person", "person": "usr_ben"},
        {"kind": "agent", "agent": "spiffe://acme.example/agent/ghost"},
        {"kind": "period", "since_at": FEBRUARY},
        {"kind": "period", "until_at": datetime(2025, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_hold_on_something_else_stops_nothing(months: None, hold: dict[str, str]) -> None:
    holds.place(**hold, reason="Case 18", by="usr_eve", now=NOW)  # type: ignore[arg-type]
    assert retention.apply(NOW)


@pytest.mark.parametrize("months_asked", [-1, 0, 5, 241])
def test_the_log_is_kept_for_half_a_year_at_least(db: None, months_asked: int) -> None:
    with pytest.raises(RetentionRefused):
        retention.change(months_asked, by="usr_eve")
    assert state.current().months == 13


def test_a_change_of_the_policy_is_an_entry_and_the_same_again_is_none(sequencer: Sequencer) -> None:
    retention.change(24, by="usr_eve")
    retention.change(24, by="usr_eve")
    sequencer.run_once()
    said = Entry.objects.get(type="audit.retention.changed")
    assert json.loads(bytes(said.canon))["data"] == {"months_before": 13, "months": 24}
    assert said.by == "usr_eve"


def test_the_database_refuses_to_let_the_minimum_fall(months: None) -> None:
    retention.apply(NOW)
    for change in ("UPDATE audit_keeping SET minimum = 0", "DELETE FROM audit_keeping"):
        with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


def test_the_database_lets_no_entry_go_above_the_minimum(months: None) -> None:
    retention.apply(NOW)
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic():
        Entry.objects.filter(index=301).delete()


def test_a_sweep_that_died_after_the_minimum_moved_is_finished_by_the_next(
    months: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "postgresql":
        return  # the table goes in the transaction that moves the minimum
    with monkeypatch.context() as dying:
        dying.setattr(retention, "_remove_rows", lambda: None)
        retention.apply(NOW)
    assert Entry.objects.filter(index=7).exists()
    with pytest.raises(EntryGone):
        read.entry(7, scope=EVERYTHING)
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 100)
    assert retention.apply(NOW) is None
    assert not Entry.objects.filter(index__lt=301).exists()


def test_a_clock_that_jumps_costs_a_month_and_not_the_log(months: None) -> None:
    assert retention.apply(NOW + timedelta(days=3650))
    assert retention.apply(NOW + timedelta(days=3650, hours=1)) is None
    assert Entry.objects.filter(index__gte=301).count() == 5


def test_without_a_log_nothing_is_due(db: None) -> None:
    assert retention.apply(NOW) is None
    assert not Keeping.objects.filter(minimum__gt=0).exists()


def test_the_log_verifies_after_its_oldest_months_went(months: None, sequencer: Sequencer) -> None:
    retention.apply(NOW)
    verdict = verify_log()  # the entry that says so still waits in the inbox
    assert (verdict.bad, verdict.minimum, verdict.left) == ("", 301, 0)
    sequencer.run_once()
    assert retention.apply(NOW + timedelta(days=1))
    sequencer.run_once()
    verdict = verify_log()
    assert (verdict.bad, verdict.minimum, verdict.entries) == ("", 305, 308)


def test_what_is_missing_above_the_minimum_is_still_an_error(
    months: None, sequencer: Sequencer, as_owner: Callable[..., None]
) -> None:
    retention.apply(NOW)
    sequencer.run_once()
    as_owner('DELETE FROM audit_entry WHERE "index" = 301')
    assert verify_log().index == 301


def test_who_raises_the_minimum_to_hide_what_was_cut_is_found(
    months: None, sequencer: Sequencer, as_owner: Callable[..., None]
) -> None:
    retention.apply(NOW)
    sequencer.run_once()
    as_owner('DELETE FROM audit_entry WHERE "index" < 303')
    as_owner("UPDATE audit_keeping SET minimum = 303")
    verdict = verify_log()
    assert (verdict.where, "303" in verdict.bad, "301" in verdict.bad) == ("minimum", True, True)


@pytest.mark.parametrize(("tile", "where"), [(0, "tile/g1/0/000/0"), (1, "")])
def test_a_hash_of_what_went_still_leads_to_the_signed_root(
    months: None, sequencer: Sequencer, as_owner: Callable[..., None], tile: int, where: str
) -> None:
    retention.apply(NOW)
    sequencer.run_once()
    row = Tile.objects.get(level=0, index=tile)
    Tile.objects.filter(level=0, index=tile).update(data=b"x" * 32 + bytes(row.data)[32:])
    verdict = verify_log()
    assert not verdict.is_good
    assert where in verdict.where


@pytest.mark.parametrize(
    ("tile", "at", "index", "words"),
    [
        (0, 7, None, "went by retention"),
        (1, 3, None, "went by retention"),
        (1, 46, 302, "is not what its entry hashes to"),
    ],
)
def test_the_tile_check_says_where_it_cannot_tell_for_want_of_entries(
    months: None, sequencer: Sequencer, as_owner: Callable[..., None], tile: int, at: int, index: int | None, words: str
) -> None:
    retention.apply(NOW)
    sequencer.run_once()
    assert (check_tiles().bad, check_tiles().minimum) == ("", 301)
    row = Tile.objects.get(level=0, index=tile)
    raw = bytes(row.data)
    Tile.objects.filter(level=0, index=tile).update(data=raw[: at * 32] + bytes(32) + raw[at * 32 + 32 :])
    verdict = check_tiles()
    assert (verdict.where, verdict.index) == (f"tile/g1/0/00{tile}/{at if index else 0}", index)
    assert words in verdict.bad


def test_an_entry_that_is_there_below_the_minimum_is_noted(
    months: None, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "postgresql":
        return
    monkeypatch.setattr(retention, "_remove_rows", lambda: None)
    retention.apply(NOW)
    sequencer.run_once()
    assert (verify_log().bad, verify_log().left) == ("", 301)
