"""A full disk, a database that goes away in the middle of a batch, a clock that jumps, a log key that is rotated."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError

from audit import checkpoints, notes, read, store, tree
from audit.errors import LogKeyMismatch
from audit.models import Checkpoint, Entry, Head, InboxRow
from audit.sequencer import Sequencer
from audit.tilecheck import check_tiles
from audit.verify import verify_log
from tests.support.log import Recorder


def test_a_full_disk_stops_the_signing_and_nothing_half_written_is_served(
    sequencer: Sequencer, happen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(3)
    sequencer.run_once()
    before, ids = read.checkpoint_note(), happen(5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        with pytest.raises(OSError, match="No space"):
            sequencer.run_once()
    assert read.checkpoint_note() == before and Checkpoint.objects.count() == 1
    assert Sequencer().run_once() == 9
    assert [read.index_of(each) for each in ids] == list(range(4, 9))
    assert verify_log().is_good and check_tiles().is_good


def _full(handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["insert_entries", "_store_tiles"])
def test_a_database_that_is_lost_in_the_middle_of_a_batch_leaves_nothing_half_written(
    sequencer: Sequencer, happen: Recorder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    happen(3)
    sequencer.run_once()
    ids = happen(300)
    where: object = store if step == "insert_entries" else tree
    done: Callable[..., None] = getattr(where, step)

    def lost(*args: object) -> None:
        done(*args)
        raise OperationalError("the connection is gone")

    with monkeypatch.context() as patch:
        patch.setattr(where, step, lost)
        with pytest.raises(OperationalError):
            sequencer.run_once()
    assert Entry.objects.count() == Head.objects.get().size == 4 and InboxRow.objects.count() == 300
    assert Sequencer().run_once() == 304
    assert [read.index_of(each) for each in ids] == list(range(4, 304))
    assert verify_log().is_good


class _Clock(datetime):
    jump = timedelta(0)

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) + cls.jump


@pytest.mark.parametrize("hours", [-24 * 400, -1, 1, 24 * 40])
def test_a_clock_that_jumps_moves_no_entry_before_another(
    sequencer: Sequencer, happen: Recorder, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    happen(2)
    sequencer.run_once()
    monkeypatch.setattr(_Clock, "jump", timedelta(hours=hours))
    monkeypatch.setattr(tree, "datetime", _Clock)
    happen(2)
    tree.drain()
    monkeypatch.undo()
    happen(2)
    Sequencer().run_once()
    moments = list(Entry.objects.order_by("index").values_list("recorded_at", flat=True))
    assert moments == sorted(moments) and len(moments) == 7
    assert verify_log().is_good


def test_a_log_key_that_is_rotated_begins_a_generation_and_the_old_key_proves_what_was(
    sequencer: Sequencer, happen: Recorder
) -> None:
    happen(3)
    sequencer.run_once()
    old, published = read.vkey(), read.checkpoint_note()
    checkpoints.key_path().unlink()
    checkpoints.create_log_key(checkpoints.key_path())
    with pytest.raises(LogKeyMismatch):
        Sequencer().run_once()
    key = checkpoints.load_log_key(checkpoints.key_path())
    begun = checkpoints.begin_generation("key_replaced", key=key, by="cli:op")
    happen(2)
    Sequencer().run_once()
    first = read.entry(begun.base, scope=read.EVERYTHING)
    assert first.data["reason"] == "key_replaced"
    assert base64.b64decode(first.data["last_checkpoint"]).decode() == published
    assert read.vkey(2) == old != read.vkey()
    for index in (2, begun.base + 1):
        known = notes.parse_vkey(read.vkey(index))
        proof = read.tlog_proof(index, scope=read.EVERYTHING)
        notes.verify_proof(proof, entry=read.entry_bytes(index, scope=read.EVERYTHING), keys=[known], origin=known.name)
    assert verify_log().is_good and verify_log().checkpoints == 2 and check_tiles().is_good
