"""The sequencer's thread ends only when told to, says what is wrong, and leaves nothing unsigned behind."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import OperationalError, connection

from audit import checkpoints, read, sequencer, tree
from audit.models import Checkpoint, InboxRow, SetAside
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.support.log import Recorder

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN_S = 10
T = TypeVar("T")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "RETRY_S", 0.02)
    monkeypatch.setattr(sequencer, "FORKED_RECHECK_S", 0.02)


@contextlib.contextmanager
def running() -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=Sequencer().run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(WITHIN_S)
        assert not thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not patiently(holds):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def patiently(act: Callable[[], T]) -> T:
    """Do it again while the other thread holds a table: the tests' SQLite in memory does not wait by itself."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            return act()
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.002)


def happen_patiently(happen: Recorder, count: int) -> None:
    for _ in range(count):
        patiently(lambda: happen(1))


def is_signed() -> bool:
    return (
        Checkpoint.objects.exists() and read.latest_checkpoint().size == read.size() and not InboxRow.objects.exists()
    )


def test_on_stop_everything_is_numbered_and_signed(
    log_key: Ed25519PrivateKey, happen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "CHECKPOINT_SPACING_S", 3600)
    with running():
        until(Checkpoint.objects.exists)
        happen_patiently(happen, 5)
    verdict = verify_log()
    assert verdict.is_good
    assert (verdict.entries, verdict.unsigned) == (6, 0)


def test_a_key_that_is_gone_is_said_and_waited_for(log_key: Ed25519PrivateKey, happen: Recorder) -> None:
    Sequencer().run_once()
    path = checkpoints.key_path()
    aside = path.rename(path.with_suffix(".aside"))
    with running() as thread:
        until(lambda: read.trouble() == "key_missing")
        happen_patiently(happen, 2)
        assert thread.is_alive()
        aside.rename(path)
        until(is_signed)
        assert read.trouble() == ""
    assert verify_log().unsigned == 0


def test_another_key_is_said_and_signs_nothing(log_key: Ed25519PrivateKey, happen: Recorder) -> None:
    Sequencer().run_once()
    path = checkpoints.key_path()
    aside = path.rename(path.with_suffix(".aside"))
    checkpoints.create_log_key(path)
    happen(1)
    with running():
        until(lambda: read.trouble() == "key_mismatch")
        assert Checkpoint.objects.count() == 1
        aside.rename(path)
        until(is_signed)


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError("nobody expected it"), "stalled"), (OSError(28, "no space left"), "storage")]
)
def test_trouble_of_any_kind_is_said_and_ends_without_a_restart(
    log_key: Ed25519PrivateKey, happen: Recorder, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    Sequencer().run_once()

    def fail(**_: object) -> int:
        raise error

    with running() as thread:
        with monkeypatch.context() as patch:
            patch.setattr(tree, "drain", fail)
            happen_patiently(happen, 1)
            until(lambda: read.trouble() == code)
            assert thread.is_alive()
        until(is_signed)
        assert read.trouble() == ""


def test_a_database_that_is_away_even_for_the_trouble_itself_is_waited_out(
    log_key: Ed25519PrivateKey, happen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Sequencer().run_once()
    tries: list[int] = []

    def away(*_: object, **__: object) -> int:
        tries.append(1)
        raise OperationalError("the server closed the connection")

    with running() as thread:
        with monkeypatch.context() as patch:
            for step in (tree, "drain"), (checkpoints, "open_log"), (checkpoints, "current_log"):
                patch.setattr(*step, away)
            happen_patiently(happen, 1)
            until(lambda: len(tries) > 4)
            assert thread.is_alive()
        until(is_signed)


@pytest.mark.scaled
def test_a_connection_that_is_cut_is_opened_anew_and_leads_again(log_key: Ed25519PrivateKey, happen: Recorder) -> None:
    with running():
        until(is_signed)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchall() == [(True,)]
        happen_patiently(happen, 3)
        until(lambda: is_signed() and read.size() == 4)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"a":1.5}',
        b'{"a":1,"a":2}',
        b"[" * 5000,
        b'{"action":null}',
    ],
    ids=["empty", "bytes", "list", "object", "float", "twice", "deep", "members"],
)
def test_a_row_that_is_no_event_is_set_aside_and_an_entry_says_so(
    log_key: Ed25519PrivateKey, happen: Recorder, raw: bytes
) -> None:
    happen(1)
    InboxRow.objects.create(payload=raw)
    happen(1)
    assert Sequencer().run_once() == 4
    said = read.entry(2, scope=read.EVERYTHING)
    digest = "sha-256:" + urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
    assert said.type == "audit.row.set_aside"
    assert said.data == {"payload_hash": digest, "size_bytes": len(raw)}
    assert bytes(SetAside.objects.get().payload) == raw
    assert verify_log().is_good


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"v":1', b'"v":2'),
        (b'"type":"audit', b'"type":"' + b"a" * 120),
        (b'"posture":"unknown"', b'"posture":7'),
        (b'"by":"system"', b'"by":"sys\\u0000tem"'),
        (b'"occurred_at":"20', b'"occurred_at":"xx'),
        (b'"occurred_at":"2', b'"occurred_at":"2\\u0000'),
    ],
)
def test_an_event_that_the_columns_could_not_hold_is_set_aside(
    log_key: Ed25519PrivateKey, happen: Recorder, before: bytes, after: bytes
) -> None:
    happen(1)
    row = InboxRow.objects.get()
    altered = bytes(row.payload).replace(before, after)
    assert altered != bytes(row.payload)
    InboxRow.objects.update(payload=altered)
    Sequencer().run_once()
    assert read.entry(1, scope=read.EVERYTHING).type == "audit.row.set_aside"


def test_what_waits_too_long_is_trouble_even_when_nobody_sequences(
    log_key: Ed25519PrivateKey, happen: Recorder
) -> None:
    now = datetime.now(UTC)
    later = now + read.STALLED_AFTER + timedelta(seconds=5)
    assert read.trouble(later) == ""
    happen(1)
    assert read.trouble() == ""
    assert read.trouble(later) == "stalled"
    Sequencer().run_once()
    assert read.trouble(later) == ""
    happen(1)
    tree.drain()
    assert read.trouble() == ""
    assert read.trouble(later) == "stalled"
