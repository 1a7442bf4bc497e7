"""Each durable step of the sequencer fails before it persists, and after it; the next run mends everything."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from audit import checkpoints, copies, merkle, notes, read, tiles, tree
from audit.errors import LogForked
from audit.models import Checkpoint, Entry, Head, InboxRow, Log, Tile
from audit.sequencer import Sequencer
from audit.verify import verify_log
from audit.write import NOBODY, FailuresCounted, record
from tests.support.log import Recorder

Tamper = Callable[..., None]


class Crash(BaseException):
    """The process is gone."""


def crash(*args: object, **kwargs: object) -> None:
    raise Crash


def _after(step: Callable[..., object]) -> Callable[..., None]:
    def run(*args: object, **kwargs: object) -> None:
        step(*args, **kwargs)
        raise Crash

    return run


STEPS = [
    (tree, "_claim"),
    (tree, "_store_tiles"),
    (tree, "append"),
    (copies, "keep"),
    (checkpoints, "store"),
]


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_crash_at_any_step_loses_nothing_and_repeats_nothing(
    sequencer: Sequencer,
    happen: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    step: str,
    is_after: bool,
) -> None:
    happen(3)
    sequencer.run_once()
    ids = happen(300)
    with monkeypatch.context() as patch:
        patch.setattr(where, step, _after(getattr(where, step)) if is_after else crash)
        with pytest.raises(Crash):
            Sequencer().run_once()
    assert Sequencer().run_once() == 304
    assert [read.index_of(event_id) for event_id in ids] == list(range(4, 304))
    verdict = verify_log()
    assert verdict.is_good, verdict.bad
    assert not InboxRow.objects.exists()


def test_a_copy_kept_without_its_row_is_stored_at_the_next_start(
    sequencer: Sequencer, happen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer.run_once()
    happen(5)
    tree.drain()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "store", crash)
        with pytest.raises(Crash):
            sequencer.run_once()
    kept = copies.latest(key=notes.parse_vkey(read.vkey()))
    assert kept and kept[0].size == 6 and Checkpoint.objects.count() == 1
    Sequencer().run_once()
    assert read.checkpoint_note() == kept[1]


def test_a_torn_end_of_the_copies_is_passed_over(sequencer: Sequencer, happen: Recorder) -> None:
    sequencer.run_once()
    path = next(copies.directory().rglob("*.checkpoints"))
    with path.open("a") as file:
        file.write("\n" + read.checkpoint_note()[:40])
    happen(1)
    assert Sequencer().run_once() == 2
    kept = copies.latest(key=notes.parse_vkey(read.vkey()))
    assert kept and kept[0].size == 2


def _restore(tamper: Tamper, size: int) -> None:
    """Bring the tables to what an old backup of ``size`` entries would hold."""
    leaves = [merkle.leaf_hash(bytes(row.canon)) for row in Entry.objects.order_by("index")[:size]]
    frontier: list[bytes] = []
    for at, leaf in enumerate(leaves):
        merkle.grow(frontier, at, leaf)
    tamper('DELETE FROM audit_entry WHERE "index" >= %s', size)
    tamper("DELETE FROM audit_checkpoint WHERE size > %s", size)
    tamper("DELETE FROM audit_tile")
    for (level, index), data in tiles.grow({}, 0, leaves).items():
        tamper("INSERT INTO audit_tile VALUES (%s, %s, %s, %s)", 1, level, index, data)
    Head.objects.update(size=size, root=merkle.root_of(leaves), frontier=b"".join(frontier))


def test_a_restored_backup_is_never_signed_and_never_grown_again(
    sequencer: Sequencer, happen: Recorder, as_owner: Tamper
) -> None:
    happen(3)
    sequencer.run_once()
    happen(6)
    sequencer.run_once()
    _restore(as_owner, 4)
    happen(2)
    with pytest.raises(LogForked) as refusal:
        Sequencer().run_once()
    assert refusal.value.code == "behind"
    assert InboxRow.objects.count() == 2 and Head.objects.get().size == 4
    with pytest.raises(LogForked):  # a process that was running all along
        sequencer.run_once()


def test_a_new_generation_embeds_the_last_published_checkpoint_and_never_reuses_an_index(
    sequencer: Sequencer, happen: Recorder, as_owner: Tamper
) -> None:
    happen(3)
    sequencer.run_once()
    happen(6)
    sequencer.run_once()
    published = read.checkpoint_note()
    _restore(as_owner, 4)
    event_id = happen(1)[0]
    key = checkpoints.load_log_key(checkpoints.key_path())
    log = checkpoints.begin_generation("restored", key=key, by="cli:op")
    assert log.origin.endswith("/g2") and log.base == 10
    Sequencer().run_once()
    first = read.entry(10, scope=read.EVERYTHING)
    assert first.type == "audit.generation.begun" and first.by == "cli:op"
    assert base64.b64decode(first.data["last_checkpoint"]).decode() == published
    assert read.index_of(event_id) == 11
    new = notes.parse_vkey(read.vkey())
    notes.verify_proof(
        read.tlog_proof(11, scope=read.EVERYTHING),
        entry=read.entry_bytes(11, scope=read.EVERYTHING),
        keys=[new],
        origin=new.name,
    )
    old = notes.parse_vkey(read.vkey(2))
    assert old.name != new.name
    notes.verify_proof(
        read.tlog_proof(2, scope=read.EVERYTHING),
        entry=read.entry_bytes(2, scope=read.EVERYTHING),
        keys=[old],
        origin=old.name,
    )


def test_a_database_from_before_the_new_generation_is_found_out(
    sequencer: Sequencer, happen: Recorder, as_owner: Tamper
) -> None:
    happen(3)
    sequencer.run_once()
    key = checkpoints.load_log_key(checkpoints.key_path())
    head = Head.objects.get()
    checkpoints.begin_generation("key_replaced", key=key, by="cli:op")
    Sequencer().run_once()
    Log.objects.filter(generation=2).delete()
    head.save()
    with pytest.raises(LogForked):
        Sequencer().run_once()


def test_an_altered_tree_is_not_signed(sequencer: Sequencer, happen: Recorder, as_owner: Tamper) -> None:
    happen(300)
    sequencer.run_once()
    Tile.objects.filter(level=1).update(data=bytes(32))
    happen(1)
    with pytest.raises(LogForked) as refusal:
        Sequencer().run_once()
    assert refusal.value.code == "inconsistent"


@pytest.mark.scaled
@pytest.mark.django_db(transaction=True)
def test_two_sequencers_at_once_number_every_entry_once(log_key: object, happen: Recorder) -> None:
    Sequencer().run_once()
    stop, failures = threading.Event(), list[BaseException]()

    def number() -> None:
        one = Sequencer()
        try:
            while not stop.is_set():
                one.run_once()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=number) for _ in range(2)]
    for thread in threads:
        thread.start()
    ids = happen(300)
    while InboxRow.objects.exists():
        pass
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    Sequencer().run_once()
    assert sorted(read.index_of(event_id) or 0 for event_id in ids) == list(range(1, 301))
    assert verify_log().is_good


@pytest.mark.scaled
@pytest.mark.django_db
@pytest.mark.parametrize("table", ["audit_entry", "audit_tile", "audit_checkpoint"])
def test_postgresql_refuses_to_empty_the_tables(sequencer: Sequencer, table: str) -> None:
    sequencer.run_once()
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")


def test_an_entry_recorded_while_signing_has_stopped_waits_in_the_inbox(
    sequencer: Sequencer, happen: Recorder, as_owner: Tamper
) -> None:
    happen(3)
    sequencer.run_once()
    _restore(as_owner, 2)
    with transaction.atomic():
        record(FailuresCounted(source="s", code="c", count=1, minute="m"), by="system", facts=NOBODY)
    with pytest.raises(LogForked):
        Sequencer().run_once()
    assert InboxRow.objects.count() == 1
