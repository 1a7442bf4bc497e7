"""Whatever is changed in the stored log is found, and the first entry that is wrong is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import copies
from audit.merkle import leaf_hash
from audit.models import Entry, Tile
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.support.log import Recorder

Tamper = Callable[..., None]
COUNT = 600


@pytest.fixture
def log(sequencer: Sequencer, happen: Recorder, as_owner: Tamper) -> Tamper:
    happen(COUNT - 1)
    assert sequencer.run_once() == COUNT
    return as_owner


@given(index=st.integers(0, COUNT - 1), share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_flipped_bit_of_any_entry_is_found_and_named(log: Tamper, index: int, share: float, bit: int) -> None:
    canon = bytes(Entry.objects.get(index=index).canon)
    at = int(share * len(canon))
    Entry.objects.filter(index=index).update(canon=canon[:at] + bytes([canon[at] ^ 1 << bit]) + canon[at + 1 :])
    verdict = verify_log()
    Entry.objects.filter(index=index).update(canon=canon)
    assert not verdict.is_good and verdict.index == index
    assert verify_log().is_good


@pytest.mark.parametrize("column", ["type", "by", "decision", "agent", "subject", "resource", "action", "txn"])
def test_a_column_that_says_something_else_is_found(log: Tamper, column: str) -> None:
    Entry.objects.filter(index=300).update(**{column: "other"})
    verdict = verify_log()
    assert verdict.index == 300 and "column" in verdict.bad


def test_a_changed_time_is_found(log: Tamper) -> None:
    at = Entry.objects.get(index=5).occurred_at
    Entry.objects.filter(index=5).update(occurred_at=at.replace(year=2020))
    assert verify_log().index == 5


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ('DELETE FROM audit_entry WHERE "index" = 17', 17),
        ('DELETE FROM audit_entry WHERE "index" >= 590', 590),
        ('UPDATE audit_entry SET "index" = 9999 WHERE "index" = 599', 599),
        ('UPDATE audit_head SET size = 590', 590),
        ("DELETE FROM audit_entry", 0),
    ],
)  # fmt: skip
def test_what_was_removed_or_moved_is_found_and_named(log: Tamper, sql: str, index: int) -> None:
    log(sql)
    verdict = verify_log()
    assert not verdict.is_good and verdict.index == index


def test_two_entries_that_changed_places_are_found(log: Tamper) -> None:
    for sql in (
        'UPDATE audit_entry SET "index" = 9999 WHERE "index" = 40',
        'UPDATE audit_entry SET "index" = 40 WHERE "index" = 41',
        'UPDATE audit_entry SET "index" = 41 WHERE "index" = 9999',
    ):
        log(sql)
    assert verify_log().index == 40


def test_an_entry_and_its_leaf_changed_together_are_found_by_the_signature(log: Tamper) -> None:
    canon = bytes(Entry.objects.get(index=599).canon).replace(b"src_598", b"src_999")
    Entry.objects.filter(index=599).update(canon=canon)
    tile = Tile.objects.get(level=0, index=2)
    Tile.objects.filter(level=0, index=2).update(data=bytes(tile.data)[:-32] + leaf_hash(canon))
    verdict = verify_log()
    assert not verdict.is_good and "signed root" in verdict.bad


@pytest.mark.parametrize("level", [0, 1])
def test_a_changed_or_missing_tile_is_found(log: Tamper, level: int) -> None:
    data = bytes(Tile.objects.get(level=level, index=0).data)
    Tile.objects.filter(level=level, index=0).update(data=data[:-1] + bytes([data[-1] ^ 1]))
    assert not verify_log().is_good
    log("DELETE FROM audit_tile WHERE level = %s", level)
    assert f"tile {level}/000" in verify_log().bad


def test_an_altered_checkpoint_is_found(log: Tamper) -> None:
    log("UPDATE audit_checkpoint SET note = replace(note, '600', '601')")
    assert "checkpoint 600" in verify_log().bad


def test_a_cut_tail_is_found_even_with_its_checkpoint_since_a_copy_was_kept(log: Tamper) -> None:
    for sql in (
        "DELETE FROM audit_checkpoint",
        'DELETE FROM audit_entry WHERE "index" > 520',
        "UPDATE audit_head SET size = 521",
    ):
        log(sql)
    verdict = verify_log()
    assert verdict.index == 521 and "gone" in verdict.bad
    for path in copies.directory().rglob("*.checkpoints"):
        path.write_text("rubbish")
    assert "no copy" in verify_log().bad
