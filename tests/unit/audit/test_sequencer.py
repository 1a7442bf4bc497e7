"""From the inbox into the tree, under a signature, and out as a proof."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection, transaction

from audit import checkpoints, copies, notes, read, tree
from audit.errors import LogKeyMismatch, LogKeyMissing, NoLog, NoSuchEntry
from audit.models import Checkpoint, Entry, InboxRow, Log
from audit.sequencer import Sequencer
from audit.verify import verify_log
from audit.write import committed
from tests.support.log import Recorder

SIGNED_WITHIN_S = 20  # a hang is the fault sought here; how fast it is, tests/bench measures


def test_the_birth_of_log_and_key_is_the_first_entry(sequencer: Sequencer, happen: Recorder) -> None:
    happen(2)
    assert sequencer.run_once() == 3
    born = read.entry(0, scope=read.EVERYTHING)
    assert born.type == "audit.log.begun" and born.data["vkey"] == read.vkey()


def test_origins_of_two_logs_differ(log_key: Ed25519PrivateKey, db: None, happen: Recorder) -> None:
    one = checkpoints.open_log(log_key).origin
    assert one.startswith("localhost:8000/log/") and len(one.rsplit("/", 1)[1]) == 16


def test_every_entry_gets_the_place_it_came_in_and_a_proof(sequencer: Sequencer, happen: Recorder) -> None:
    ids = happen(300)
    assert sequencer.run_once() == 301
    assert [read.index_of(event_id) for event_id in ids] == list(range(1, 301))
    key = notes.parse_vkey(read.vkey())
    for index in (0, 1, 255, 256, 300):
        notes.verify_proof(
            read.tlog_proof(index, scope=read.EVERYTHING),
            entry=read.entry_bytes(index, scope=read.EVERYTHING),
            keys=[key],
            origin=key.name,
        )
    assert not InboxRow.objects.exists()


def test_what_is_not_numbered_or_not_signed_has_no_proof(sequencer: Sequencer, happen: Recorder) -> None:
    with pytest.raises(NoLog):
        read.checkpoint_note()
    sequencer.run_once()
    event_id = happen(1)[0]
    assert read.index_of(event_id) is None
    tree.drain()
    with pytest.raises(NoSuchEntry):
        read.tlog_proof(1, scope=read.EVERYTHING)
    with pytest.raises(NoSuchEntry):
        read.entry_bytes(2, scope=read.EVERYTHING)


def test_without_growth_nothing_is_signed(sequencer: Sequencer, happen: Recorder) -> None:
    sequencer.run_once()
    sequencer.run_once()
    Sequencer().run_once()
    assert Checkpoint.objects.count() == 1


def test_small_batches_give_the_same_tree(sequencer: Sequencer, happen: Recorder) -> None:
    happen(30)
    sequencer.run_once()
    for limit in (1, 7, 300):
        happen(260)
        while tree.drain(limit=limit):
            pass
        sequencer.run_once()
    verdict = verify_log()
    assert verdict.is_good and verdict.entries == 811 and verdict.checkpoints == 4 and not verdict.unsigned


def test_each_checkpoint_has_a_copy_outside_the_database(sequencer: Sequencer, happen: Recorder) -> None:
    for _ in range(3):
        happen(1)
        sequencer.run_once()
    kept = copies.latest(key=notes.parse_vkey(read.vkey()))
    assert kept and kept[1] == read.checkpoint_note()
    assert sum(path.read_text().count("—") for path in copies.directory().rglob("*.checkpoints")) == 3


def test_another_key_signs_nothing(sequencer: Sequencer, tmp_path: Path) -> None:
    sequencer.run_once()
    with pytest.raises(LogKeyMismatch):
        Sequencer(key=Ed25519PrivateKey.generate()).run_once()
    with pytest.raises(LogKeyMissing, match="AIMS_LOG_KEY_FILE"):
        checkpoints.load_log_key(tmp_path / "none")
    (tmp_path / "rubbish").write_text("rubbish")
    with pytest.raises(LogKeyMissing):
        checkpoints.load_log_key(tmp_path / "rubbish")


def test_a_key_is_made_once_and_readable_by_its_owner_only(log_key: Ed25519PrivateKey) -> None:
    path = checkpoints.key_path()
    before = path.read_bytes()
    checkpoints.create_log_key(path)
    assert path.read_bytes() == before and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_entry SET decision = 'allow'",
        'DELETE FROM audit_entry WHERE "index" = 1',
        "UPDATE audit_checkpoint SET note = ''",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_tile",
        "UPDATE audit_tile SET level = 5",
        "UPDATE audit_tile SET data = substr(data, 1, 32)",
    ],
)
def test_the_database_refuses_to_change_what_was_written(sequencer: Sequencer, happen: Recorder, sql: str) -> None:
    happen(300)
    sequencer.run_once()
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert Entry.objects.count() == 301


@pytest.mark.django_db(transaction=True)
def test_an_entry_comes_under_a_signed_checkpoint_unasked(log_key: Ed25519PrivateKey, happen: Recorder) -> None:
    rung: list[int] = []
    stop = threading.Event()
    thread = threading.Thread(target=Sequencer(rung.append).run, args=(stop,))
    thread.start()
    try:
        while not Checkpoint.objects.exists():
            time.sleep(0.01)
        for _ in range(3):
            index, started = read.size(), time.monotonic()
            happen(1)
            while read.latest_checkpoint().size <= index:
                assert time.monotonic() - started < SIGNED_WITHIN_S
                time.sleep(0.005)
    finally:
        stop.set()
        committed.set()
        thread.join(5)
    assert rung == [2, 3, 4]
    assert Log.objects.get().trouble == ""
