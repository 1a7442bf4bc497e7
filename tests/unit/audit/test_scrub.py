"""Checks that run by themselves: they go on after a restart, find what was changed, and say it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.test import Client

from aims.console import jobs
from audit import columns, read, scrub, verify, walk
from audit.models import Check, Entry, Log, Tile
from audit.scrub import Scrubber
from audit.sequencer import Sequencer
from audit.verdict import Verdict
from tests.support.log import Recorder

Tamper = Callable[..., None]
NOW = datetime.now(UTC)


@pytest.fixture
def log(sequencer: Sequencer, happen: Recorder, as_owner: Tamper, monkeypatch: pytest.MonkeyPatch) -> Tamper:
    monkeypatch.setattr(walk, "PAGE", 256)
    monkeypatch.setattr(scrub, "ROWS_PER_S", 10**9)
    happen(699)
    sequencer.run_once()
    return as_owner


def until_rest(scrubber: Scrubber, now: datetime = NOW) -> int:
    """Turn until nothing is due; return how many turns it took."""
    for turn in range(100):
        before = list(Check.objects.order_by("kind").values())
        scrubber.round(now)
        if list(Check.objects.order_by("kind").values()) == before:
            return turn
    raise AssertionError("the checks never rest")


def test_every_kind_of_check_runs_by_itself_and_says_so_once_a_day(log: Tamper, sequencer: Sequencer) -> None:
    assert until_rest(Scrubber()) >= 3 + 2
    assert {row.kind: (row.bad, row.good_upto) for row in Check.objects.all()} == dict.fromkeys(scrub.KINDS, ("", 700))
    for hours in (7, 14, 21):
        until_rest(Scrubber(), NOW + timedelta(hours=hours))
    sequencer.run_once()
    assert Entry.objects.filter(type="audit.verification.passed").count() == 3
    assert read.trouble() == ""


def test_a_log_that_is_published_further_meanwhile_is_no_loss(
    log: Tamper, sequencer: Sequencer, happen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at_copies = verify._copied

    def after_more_was_published(current: Log) -> int:
        happen(10)
        sequencer.run_once()
        return looked_at_copies(current)

    monkeypatch.setattr(verify, "_copied", after_more_was_published)
    assert verify.verify_log().is_good
    until_rest(Scrubber())
    assert not Check.objects.exclude(bad="").exists()


def test_the_walk_goes_on_where_another_process_left_it(log: Tamper, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("tiles", "incremental"):
        Check.objects.create(kind=kind, began_at=NOW, ended_at=NOW)  # not due
    read_rows = spied(monkeypatch)
    upto = []
    for _ in range(3):
        Scrubber().round(NOW)  # a new one each time: nothing is remembered but the table
        upto.append(Check.objects.get(kind="full").upto)
    assert read_rows == [0, 256, 512] and upto == [256, 512, 700]
    assert Check.objects.get(kind="full").good_upto == 700


def spied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return where each reading of entries begins, from now on."""
    begun: list[int] = []
    rows = columns.rows

    def noted(start: int, end: int) -> Iterator[columns.Row]:
        begun.append(start)
        return rows(start, end)

    monkeypatch.setattr(columns, "rows", noted)
    return begun


def test_the_incremental_check_reads_only_what_is_new(
    log: Tamper, sequencer: Sequencer, happen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_rest(Scrubber())
    happen(100)
    sequencer.run_once()
    read_rows = spied(monkeypatch)
    until_rest(Scrubber(), NOW + timedelta(minutes=6))
    assert read_rows == [512, 768]  # from the edge of the last whole tile
    assert Check.objects.get(kind="incremental").good_upto == sequencer.run_once()


def test_what_was_changed_is_said_once_in_the_log_to_the_alarm_and_by_readyz(
    log: Tamper, sequencer: Sequencer, client: Client
) -> None:
    until_rest(Scrubber())
    Entry.objects.filter(index=300).update(decision="allow")
    heard: list[Verdict] = []
    later = NOW + timedelta(hours=7)
    for _ in range(2):
        until_rest(Scrubber(heard.append), later)
        later += timedelta(hours=2)
    assert [verdict.where for verdict in heard] == ["entry/300/decision"]
    assert read.trouble() == "altered"
    assert client.get("/readyz").json()["log"] == "altered"
    sequencer.run_once()
    said = Entry.objects.get(type="audit.verification.failed")
    assert read.entry(said.index, scope=read.EVERYTHING).data == {
        "kind": "full",
        "place": "entry/300/decision",
        "index": 300,
    }
    Entry.objects.filter(index=300).update(decision="not_applicable")
    until_rest(Scrubber(heard.append), later)
    assert read.trouble() == "" and len(heard) == 1


def test_a_check_that_is_asked_for_runs_at_once_and_alone(log: Tamper, sequencer: Sequencer) -> None:
    until_rest(Scrubber())
    tile = Tile.objects.get(level=0, index=1)
    Tile.objects.filter(level=0, index=1).update(data=bytes([tile.data[0] ^ 1]) + bytes(tile.data)[1:])
    scrub.ask("tiles", by="usr_ben")
    for kind in scrub.KINDS:
        with pytest.raises(scrub.AlreadyRunning):
            scrub.ask(kind, by="usr_ben")
    Scrubber().round(NOW)
    assert Check.objects.get(kind="tiles").where == "tile/g1/0/001/0"
    scrub.ask("full", by="usr_ben")
    Scrubber().round(NOW)
    assert Check.objects.get(kind="full").where == "tile/g1/0/001/0"
    with pytest.raises(KeyError):
        scrub.ask("other", by="usr_ben")
    sequencer.run_once()
    assert list(Entry.objects.filter(type="audit.verification.asked").values_list("by", flat=True)) == ["usr_ben"] * 2


def test_admins_are_told_by_mail_and_a_dead_mail_server_ends_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from aims.people.models import RoleHolding, User

    ada = User.objects.create(email="ada@example.org", name="Ada")
    ben = User.objects.create(email="ben@example.org", name="Ben")
    RoleHolding.objects.create(person=ada, role="admin", since_at=NOW - timedelta(days=1))
    RoleHolding.objects.create(person=ben, role="auditor", since_at=NOW - timedelta(days=1))
    verdict = Verdict(1, 1, 0, "entry 5 was changed", 5, "entry/5")
    jobs.alarm(verdict)
    assert [each.to for each in mail.outbox] == [["ada@example.org"]] and "entry 5" in str(mail.outbox[0].body)

    def dead(*args: object) -> None:
        raise OSError

    monkeypatch.setattr(jobs, "send_mail", dead)
    jobs.alarm(verdict)


def test_before_the_log_is_begun_nothing_is_checked(db: None) -> None:
    Scrubber().round(NOW)
    assert not Check.objects.exists()
