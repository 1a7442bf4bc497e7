"""A database that was restored behind what was published: what it lacks is told, once a new generation acknowledges it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from aims.people.models import User
from audit import checkpoints, copies, losses, notes, partitions, read, scrub
from audit.exports import spans
from audit.keeping import retention
from audit.models import Check, Checkpoint, Entry
from audit.sequencer import Sequencer
from audit.tilecheck import check_tiles
from audit.verdict import Lost
from audit.verify import verify_log
from tests.faults.audit.test_crashes import _restore as restore
from tests.support.cast import browser_of, someone
from tests.support.log import Recorder
from tests.unit.audit.keeping.conftest import Past, past

__all__ = ["past"]
Tamper = Callable[..., None]


@pytest.fixture
def behind(sequencer: Sequencer, happen: Recorder, as_owner: Tamper) -> Tamper:
    """Ten entries were published, four are there."""
    happen(3)
    sequencer.run_once()
    happen(6)
    sequencer.run_once()
    restore(as_owner, 4)
    return as_owner


@pytest.fixture
def begun(behind: Tamper, log_key: Ed25519PrivateKey, happen: Recorder) -> Tamper:
    """The next generation has begun, and goes on."""
    checkpoints.begin_generation("restored", key=log_key, by="cli:op")
    happen(2)
    Sequencer().run_once()
    return behind


LOST = Lost(generation=1, first=4, end=10, said_by=10)


def test_before_somebody_acknowledges_it_the_log_does_not_verify(behind: Tamper) -> None:
    verdict = verify_log()
    assert (verdict.where, verdict.lost) == ("entry/4", ())


def test_once_acknowledged_it_is_a_statement_of_its_own(begun: Tamper) -> None:
    verdict = verify_log()
    assert (verdict.bad, verdict.lost, verdict.entries, verdict.unsigned) == ("", (LOST,), 13, 0)
    assert check_tiles().lost == (LOST,)


def test_the_checks_that_run_by_themselves_pass_over_it(begun: Tamper) -> None:
    for kind in scrub.KINDS:
        scrub.ask(kind, by="usr_1")
        scrub.Scrubber().round(datetime.now(UTC))
        row = Check.objects.get(kind=kind)
        assert (row.bad, row.good_upto) == ("", 13), kind


def test_entries_behind_the_last_stored_checkpoint_are_not_called_signed(
    sequencer: Sequencer, happen: Recorder, as_owner: Tamper, log_key: Ed25519PrivateKey
) -> None:
    happen(9)
    sequencer.run_once()
    restore(as_owner, 4)
    checkpoints.begin_generation("restored", key=log_key, by="cli:op")
    Sequencer().run_once()
    assert (verify_log().bad, verify_log().unsigned) == ("", 4), "only the lost ones could show that these were signed"


def test_the_command_tells_it_and_ends_with_a_code_of_its_own(begun: Tamper) -> None:
    said = StringIO()
    with pytest.raises(CommandError, match=r"Entries 4 to 9 of generation 1 are lost.*entry 10") as told:
        call_command("verify", stdout=said)
    assert told.value.returncode == 3
    assert "The log verifies: 13 entries" in said.getvalue()


def test_the_page_tells_it_for_ever(begun: Tamper) -> None:
    page = browser_of(someone("Ben", "auditor")).get("/audit/integrity/").content.decode()
    assert "Entries 4 to 9 are lost" in page


def test_an_export_names_what_is_lost_apart_from_what_is_unsigned(begun: Tamper) -> None:
    _spans, gaps = spans.over(0, 13, snapshot=13)
    assert [(gap.first, gap.end, gap.reason) for gap in gaps] == [(4, 10, "lost")]


@pytest.mark.parametrize(
    ("crime", "where"),
    [
        ('DELETE FROM audit_entry WHERE "index" = 3', "entry/3"),
        ('DELETE FROM audit_entry WHERE "index" = 10', "entry/4"),  # with it goes the acknowledgement
        ("UPDATE audit_log SET base = 4 WHERE generation = 2", "entry/4"),
    ],
)
def test_more_than_was_acknowledged_is_still_found(begun: Tamper, crime: str, where: str) -> None:
    begun(crime)
    assert verify_log().where == where


def test_a_tail_that_is_cut_afterwards_with_its_tiles_and_checkpoints_is_found(begun: Tamper) -> None:
    begun('DELETE FROM audit_entry WHERE "index" IN (2, 3)')
    begun("DELETE FROM audit_checkpoint WHERE generation = 1")
    begun("DELETE FROM audit_tile WHERE generation = 1")
    assert verify_log().where == "entry/0", "of which no tile tells any more"


def test_nobody_acknowledges_more_by_changing_the_entry_that_does(begun: Tamper) -> None:
    row = Entry.objects.get(index=10)
    Entry.objects.filter(index=10).update(canon=bytes(row.canon).replace(b'"stored":4', b'"stored":2'))
    assert not verify_log().is_good


def test_a_copy_of_more_than_was_acknowledged_speaks_against_the_log(begun: Tamper, log_key: Ed25519PrivateKey) -> None:
    origin = notes.parse_vkey(read.vkey(0)).name
    copies.keep(notes.sign(notes.Checkpoint(origin, 11, bytes(32)), log_key), origin=origin, at=datetime.now(UTC))
    assert verify_log().where == "entry/4"


def test_a_copy_of_another_history_speaks_against_the_log_too(
    sequencer: Sequencer, happen: Recorder, as_owner: Tamper, log_key: Ed25519PrivateKey
) -> None:
    """Grown again past what was published: nothing is missing, and nothing stored contradicts itself."""
    happen(9)
    sequencer.run_once()
    other = notes.Checkpoint(checkpoints.current_log().origin, 7, bytes(32))
    note = notes.sign(other, log_key)
    as_owner("DELETE FROM audit_checkpoint")
    for path in copies.directory().rglob("*.checkpoints"):
        path.write_text("\n" + note + "\n")
    assert (verify_log().where, Checkpoint.objects.count()) == ("copies/g1", 0)


def test_after_the_acknowledgement_went_by_retention_the_tiles_tell_what_is_lost(
    past: Past, as_owner: Tamper, log_key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    january, february, now = (datetime(2025, month, 10, tzinfo=UTC) for month in (1, 2, 12))
    past(january, 4)
    past(january, 5)
    restore(as_owner, 5)

    partitions.ensure(february, ahead=0)

    class Then(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return february

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "datetime", Then)
        checkpoints.begin_generation("restored", key=log_key, by="cli:op")
    Sequencer().run_once()
    past(now, 1, is_signed=False)
    Sequencer().run_once()
    later = datetime(2026, 11, 28, tzinfo=UTC)
    assert losses.every() == [Lost(generation=1, first=5, end=10, said_by=10)]
    for day in range(2):
        assert retention.apply(later + timedelta(days=day))
    Sequencer().run_once()
    assert losses.every() == [Lost(generation=1, first=5, end=10, said_by=None)]
    verdict = verify_log()
    assert (verdict.bad, verdict.minimum) == ("", 11)


def test_a_log_that_nobody_restored_lost_nothing(sequencer: Sequencer, log_key: Ed25519PrivateKey) -> None:
    sequencer.run_once()
    checkpoints.begin_generation("key_replaced", key=log_key, by="cli:op")
    Sequencer().run_once()
    assert losses.every() == [] and verify_log().lost == () and not User.objects.exists()
