"""Of the checkpoints of a quiet year one an hour stays, and no proof is lost; the database lets nothing else go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from audit import attested, checkpoints, merkle, notes, read, thinning, tree
from audit.access import EVERYTHING
from audit.models import Checkpoint, Cosignature, Entry, Log, Timestamp
from audit.sequencer import Sequencer
from audit.tilecheck import check_tiles
from audit.verify import verify_log
from tests.support.log import Recorder

OLD = (datetime.now(UTC) - timedelta(days=12)).replace(hour=9, minute=0, second=0, microsecond=0)
W1, W2 = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
Sign = Callable[[int, datetime], None]
pytestmark = pytest.mark.django_db


@pytest.fixture
def sign(sequencer: Sequencer, happen: Recorder, log_key: Ed25519PrivateKey) -> Sign:
    """Sign the first so many of twenty entries, as if it were a moment of the past."""
    happen(19)
    sequencer.run_once()
    log = checkpoints.current_log()

    def sign(size: int, at: datetime) -> None:
        signed = notes.Checkpoint(log.origin, size, merkle.root(size, tree.reader(log.generation)))
        checkpoints.store(log, signed, notes.sign(signed, log_key), now=at)

    return sign


def cosign(size: int, *keys: Ed25519PrivateKey) -> None:
    row = Checkpoint.objects.get(size=size)
    for key in keys:
        name = f"w{(W1, W2).index(key) + 1}.example"
        vkey = notes.key_of(key, name, notes.COSIGNATURE)
        line = notes.cosign(notes.text_of(row.note), key, name, now=int(row.signed_at.timestamp()))
        Cosignature.objects.create(
            generation=1, size=size, witness=name, key_id=vkey.id.hex(), line=line,
            cosigned_at=int(row.signed_at.timestamp()),
        )  # fmt: skip


def sizes() -> list[int]:
    return list(Checkpoint.objects.order_by("size").values_list("size", flat=True))


def every(minutes: int, sign: Sign, numbers: Sequence[int]) -> None:
    for at, size in enumerate(numbers):
        sign(size, OLD + at * timedelta(minutes=minutes))


def test_the_last_of_each_hour_stays_and_what_went_is_an_entry(sign: Sign, sequencer: Sequencer) -> None:
    every(20, sign, range(1, 11))  # 09:00, 09:20, 09:40, 10:00 …
    assert thinning.thin() == 6
    assert sizes() == [3, 6, 9, 10, 20]
    assert thinning.thin() == 0
    sequencer.run_once()
    told = read.parse(f"type:{thinning.CheckpointsThinned.type}", now=datetime.now(UTC))
    (entry,) = read.newest(told, scope=EVERYTHING)
    assert entry.data == {"generation": 1, "first": 0, "last": 10, "checkpoints": 6, "cosignatures": 0}
    assert verify_log().is_good and check_tiles().is_good


def test_nothing_of_the_last_week_goes_nor_of_the_day_that_it_began_in(sign: Sign) -> None:
    edge = datetime.combine(datetime.now(UTC) - thinning.WHOLE_FOR, datetime.min.time(), UTC)
    for size, at in enumerate((edge - timedelta(minutes=1), edge, edge + timedelta(minutes=1)), start=1):
        sign(size, at)
    assert thinning.thin() == 0


def test_the_next_day_goes_on_where_the_last_one_ended(sign: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinning, "ROWS_AT_ONCE", 4)
    every(10, sign, range(1, 19))
    assert thinning.thin() == 15
    assert sizes() == [6, 12, 18, 20]


def test_what_most_witnesses_cosigned_stays_with_what_each_cosigned_last(
    sign: Sign, settings: Settings, tmp_path: Path
) -> None:
    keys = [notes.key_of(key, f"w{n}.example", notes.COSIGNATURE) for n, key in enumerate((W1, W2), 1)]
    settings.TLOG_POLICY = str(tmp_path / "policy")
    Path(settings.TLOG_POLICY).write_text(f"witness w1 {keys[0]}\nwitness w2 {keys[1]}\nquorum w2\n")
    every(5, sign, range(1, 17))  # 1 to 12 in one hour, 13 to 16 in the next
    for size, by in {2: (W1, W2), 3: (W1, W2), 5: (W2,), 6: (W1,), 7: (W1,), 9: (), 14: (W1, W2), 15: (W1,)}.items():
        cosign(size, *by)
    thinning.thin()
    # 12 and 16: the last; 7: the last with a witness; 5: with the quorum; 3: with both; 14 and 15: where each stands
    assert sizes() == [3, 5, 7, 12, 14, 15, 16, 20]
    assert sorted(set(Cosignature.objects.values_list("size", flat=True))) == [3, 5, 7, 14, 15]
    assert verify_log().is_good


def test_a_checkpoint_with_a_time_stamp_stays(sign: Sign) -> None:
    every(10, sign, range(1, 5))
    Timestamp.objects.create(generation=1, size=2, token=b"", stamped_at=OLD)
    thinning.thin()
    assert sizes() == [2, 4, 20]


def test_an_old_entry_is_still_proven_and_so_is_an_old_proof(sign: Sign, log_key: Ed25519PrivateKey) -> None:
    every(10, sign, range(1, 6))
    log, tiles = checkpoints.current_log(), tree.reader(1)
    key = notes.parse_vkey(log.vkey)
    held = Checkpoint.objects.get(size=3)
    before = notes.write_proof(1, merkle.inclusion_proof(1, 3, tiles), held.note)
    assert thinning.thin() == 4
    entry = read.entry_bytes(1, scope=EVERYTHING)
    notes.verify_proof(before, entry=entry, keys=[key], origin=log.origin)
    notes.verify_proof(read.tlog_proof(1, scope=EVERYTHING), entry=entry, keys=[key], origin=log.origin)
    newest = read.latest_checkpoint()
    merkle.verify_consistency(
        first=3, second=newest.size, first_root=bytes(held.root), second_root=bytes(newest.root),
        proof=merkle.consistency_proof(3, newest.size, tiles),
    )  # fmt: skip


def test_a_check_that_runs_meanwhile_misses_no_cosignature_that_went(
    sign: Sign, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_owner: Callable[..., None]
) -> None:
    settings.TLOG_POLICY = str(tmp_path / "policy")
    key = notes.key_of(W1, "w1.example", notes.COSIGNATURE)
    Path(settings.TLOG_POLICY).write_text(f"witness w1 {key}\nquorum w1\n")
    every(10, sign, range(1, 4))
    cosign(1, W1)
    cosign(2, W1)
    look, seen = attested.checkpoint, list[int]()

    def slow(log: Log, size: int) -> Checkpoint | None:
        seen.append(thinning.thin())
        return look(log, size)

    monkeypatch.setattr(attested, "checkpoint", slow)
    attested.check(checkpoints.current_log())
    assert seen == [1, 0] and sizes() == [2, 3, 20]
    as_owner("DELETE FROM audit_checkpoint WHERE size = 2")
    assert verify_log().where == f"cosignature/g1/2/{key.id.hex()}", "a checkpoint alone does not go"


def test_an_empty_log_has_nothing_to_thin(db: None) -> None:
    assert thinning.thin() == 0
    assert not Entry.objects.exists()


REFUSED = {
    "the last of an hour": "DELETE FROM audit_checkpoint WHERE size = 3",
    "the newest of all": "DELETE FROM audit_checkpoint WHERE size = 20",
    "one with a time stamp": "DELETE FROM audit_checkpoint WHERE size = 2",
    "a whole hour": "DELETE FROM audit_checkpoint WHERE size < 4",
    "a change of a checkpoint": "UPDATE audit_checkpoint SET signed_at = signed_at",
    "a cosignature": "DELETE FROM audit_cosignature",
    "a change of a cosignature": "UPDATE audit_cosignature SET cosigned_at = 1",
    "a time stamp": "DELETE FROM audit_timestamp",
    "a change of a time stamp": "UPDATE audit_timestamp SET size = 3",
}
TRUNCATED = ("audit_checkpoint", "audit_cosignature", "audit_timestamp")


def test_the_database_refuses_whatever_would_lose_something(sign: Sign) -> None:
    every(20, sign, range(1, 5))
    cosign(1, W1)
    Timestamp.objects.create(generation=1, size=2, token=b"", stamped_at=OLD)
    refused = [*REFUSED.values(), *(f"TRUNCATE {table}" for table in TRUNCATED if connection.vendor == "postgresql")]
    for statement in refused:
        with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert (sizes(), Cosignature.objects.count(), Timestamp.objects.count()) == ([1, 2, 3, 4, 20], 1, 1)
