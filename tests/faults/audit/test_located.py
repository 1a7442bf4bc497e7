"""Whatever is changed, wherever it lies: the check names the very place. Told by a table of crimes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from audit import copies, merkle, notes, tiles
from audit.models import Checkpoint, Entry, Head, Tile
from audit.sequencer import Sequencer
from audit.tilecheck import check_tiles
from audit.verify import verify_log
from tests.support.log import Recorder

Tamper = Callable[..., None]
FIRST, COUNT = 300, 600  # entries under the first and under the last checkpoint


@pytest.fixture
def log(sequencer: Sequencer, happen: Recorder, as_owner: Tamper) -> Tamper:
    happen(FIRST - 1)
    sequencer.run_once()
    happen(COUNT - FIRST)
    assert sequencer.run_once() == COUNT
    return as_owner


def flip(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def _canon(index: int, at: int) -> Callable[[Tamper], None]:
    def commit(tamper: Tamper) -> None:
        Entry.objects.filter(index=index).update(canon=flip(bytes(Entry.objects.get(index=index).canon), at))

    return commit


def _column(name: str, value: object, index: int = 300) -> Callable[[Tamper], None]:
    return lambda tamper: tamper(f'UPDATE audit_entry SET "{name}" = %s WHERE "index" = %s', value, index)


def _tile(level: int, index: int, at: int) -> Callable[[Tamper], None]:
    def commit(tamper: Tamper) -> None:
        tile = Tile.objects.get(level=level, index=index)
        Tile.objects.filter(level=level, index=index).update(data=flip(bytes(tile.data), at))

    return commit


def _sql(*statements: str) -> Callable[[Tamper], None]:
    def commit(tamper: Tamper) -> None:
        for each in statements:
            tamper(each)

    return commit


def _swap(one: int, other: int) -> Callable[[Tamper], None]:
    where = 'UPDATE audit_entry SET "index" = {} WHERE "index" = {}'
    return _sql(where.format(9999, one), where.format(one, other), where.format(other, 9999))


def _note(tamper: Tamper) -> None:
    row = Checkpoint.objects.get(size=FIRST)
    Checkpoint.objects.filter(size=FIRST).update(
        note=row.note[:-4] + ("AA==" if row.note[-5] != "A" else "BA==") + "\n"
    )


def _root(tamper: Tamper) -> None:
    row = Checkpoint.objects.get(size=FIRST)
    Checkpoint.objects.filter(size=FIRST).update(root=flip(bytes(row.root), 31))


def _insert(tamper: Tamper) -> None:
    """An entry more, in the midst of the others, all that follow moved up by one."""
    tamper('UPDATE audit_entry SET "index" = "index" + 10000 WHERE "index" >= 40')
    row = Entry.objects.get(index=39)
    row.event_id = "00000000-0000-7000-8000-000000000000"
    row.index = 40
    row.save(force_insert=True)
    tamper('UPDATE audit_entry SET "index" = "index" - 9999 WHERE "index" >= 10000')
    tamper("UPDATE audit_head SET size = size + 1")


def _forged(tamper: Tamper) -> None:
    """The tree built anew over a changed entry: everything agrees, but for what was signed."""
    canon = bytes(Entry.objects.get(index=450).canon).replace(b"src_", b"SRC_")
    Entry.objects.filter(index=450).update(canon=canon)
    leaves = [merkle.leaf_hash(bytes(row.canon)) for row in Entry.objects.order_by("index")]
    frontier: list[bytes] = []
    for at, leaf in enumerate(leaves):
        merkle.grow(frontier, at, leaf)
    for (level, index), data in tiles.grow({}, 0, leaves).items():
        Tile.objects.filter(level=level, index=index).update(data=data)
    Head.objects.update(root=merkle.root_of(leaves), frontier=b"".join(frontier))


def _copy(tamper: Tamper) -> None:
    """A signed copy of a checkpoint of this size, over other entries: the key was used elsewhere."""
    from audit import checkpoints

    log = checkpoints.current_log()
    key = checkpoints.load_log_key(checkpoints.key_path())
    note = notes.sign(notes.Checkpoint(log.origin, COUNT, bytes(32)), key)
    copies.keep(note, origin=log.origin, at=Head.objects.get().recorded_at)


def _duplicate(tamper: Tamper) -> None:
    """On PostgreSQL an index is unique within a month only."""
    row = Entry.objects.get(index=77)
    row.event_id = "00000000-0000-7000-8000-000000000000"
    row.recorded_at = row.recorded_at.replace(microsecond=(row.recorded_at.microsecond + 1000) % 1_000_000)
    row.save(force_insert=True)


CRIMES: dict[str, tuple[Callable[[Tamper], None], str]] = {
    "a byte of an entry": (_canon(17, 40), "entry/17"),
    "the first byte of the first": (_canon(0, 0), "entry/0"),
    "a byte of the last": (_canon(599, 3), "entry/599"),
    **{f"the column {name}": (_column(name, "other"), f"entry/300/{name}") for name in
       ("type", "by", "decision", "agent", "subject", "resource", "action", "txn", "posture", "remediation")},
    "a column that became empty": (_column("posture", None), "entry/300/posture"),
    "a column that is the word null": (_column("agent", "null"), "entry/300/agent"),
    "an id in a column": (_column("event_id", "00000000-0000-7000-8000-000000000000"), "entry/300/event_id"),
    "a moment in a column": (_column("occurred_at", "2020-01-01 00:00:00+00:00"), "entry/300/occurred_at"),
    "a moment moved by a microsecond": (
        _sql("UPDATE audit_entry SET occurred_at = {moved} WHERE \"index\" = 300"), "entry/300/occurred_at"),
    "a row taken out": (_sql('DELETE FROM audit_entry WHERE "index" = 41'), "entry/41"),
    "a row at the edge of a tile": (_sql('DELETE FROM audit_entry WHERE "index" = 256'), "entry/256"),
    "the first row": (_sql('DELETE FROM audit_entry WHERE "index" = 0'), "entry/0"),
    "a row put in": (_insert, "entry/40"),
    "a row behind the end": (_sql('UPDATE audit_entry SET "index" = 600 WHERE "index" = 599'), "entry/599"),
    "two rows swapped": (_swap(40, 41), "entry/40"),
    "two rows of two tiles swapped": (_swap(255, 256), "entry/255"),
    "the tail cut off": (_sql('DELETE FROM audit_entry WHERE "index" >= 590'), "entry/590"),
    "the tail cut off with its checkpoint and head": (
        _sql('DELETE FROM audit_entry WHERE "index" >= 520', "DELETE FROM audit_checkpoint WHERE size > 520",
             "UPDATE audit_head SET size = 520"), "entry/520"),
    "a byte of a lowest tile": (_tile(0, 1, 5 * 32), "tile/g1/0/001/5"),
    "a byte of the unfinished tile": (_tile(0, 2, 7 * 32 + 3), "entry/519"),
    "a byte of an upper tile": (_tile(1, 0, 33), "tile/g1/1/000/1"),
    "a tile taken out": (_sql("DELETE FROM audit_tile WHERE level = 0 AND \"index\" = 1"), "tile/g1/0/001/0"),
    "an upper tile taken out": (_sql("DELETE FROM audit_tile WHERE level = 1"), "tile/g1/1/000/0"),
    "a tile of no log": (_sql("UPDATE audit_tile SET generation = 7 WHERE level = 1"), "tile/g1/1/000/0"),
    "a signature": (_note, "checkpoint/g1/300"),
    "a root beside its note": (_root, "checkpoint/g1/300"),
    "a size beside its note": (_sql("UPDATE audit_checkpoint SET size = 299 WHERE size = 300"), "checkpoint/g1/299"),
    "everything but the signatures": (_forged, "checkpoint/g1/600"),
    "the head": (_sql("UPDATE audit_head SET root = frontier"), "head"),
    "a copy that says something else": (_copy, "copies/g1"),
}  # fmt: skip


@pytest.mark.parametrize("crime", CRIMES)
def test_the_place_of_every_change_is_named(log: Tamper, crime: str) -> None:
    commit, where = CRIMES[crime]
    if crime == "a moment moved by a microsecond":
        is_text = connection.vendor == "sqlite"
        moved = "substr(occurred_at, 1, 23) || '001'" if is_text else "occurred_at + interval '1 microsecond'"
        commit = _sql(f'UPDATE audit_entry SET occurred_at = {moved} WHERE "index" = 300')
    assert verify_log().is_good
    commit(log)
    verdict = verify_log()
    assert not verdict.is_good and verdict.where == where, verdict
    if where.startswith("entry/"):
        assert str(verdict.index) == where.split("/")[1]


@pytest.mark.parametrize(
    ("crime", "where"),
    [
        ("a byte of a lowest tile", "tile/g1/0/001/5"), ("a byte of the unfinished tile", "tile/g1/0/002/7"),
        ("a byte of an upper tile", "tile/g1/1/000/1"), ("a tile taken out", "tile/g1/0/001/0"),
        ("an upper tile taken out", "tile/g1/1/000/0"), ("everything but the signatures", "checkpoint/g1/600"),
    ],
)  # fmt: skip
def test_the_tile_check_names_the_hash_that_was_changed(log: Tamper, crime: str, where: str) -> None:
    assert check_tiles().is_good and check_tiles(cores=2).entries == COUNT
    CRIMES[crime][0](log)
    verdict = check_tiles()
    assert not verdict.is_good and verdict.where == where, verdict


def test_the_tile_check_does_not_read_entries_and_says_so_by_passing(log: Tamper) -> None:
    CRIMES["a byte of an entry"][0](log)
    assert check_tiles().is_good and not verify_log().is_good


@pytest.mark.scaled
@pytest.mark.django_db
def test_an_index_that_stands_twice_in_two_places_is_found(log: Tamper) -> None:
    _duplicate(log)
    assert verify_log().where == "entry/77"
