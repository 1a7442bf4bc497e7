"""Copies of checkpoints in an object store, over its own protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from audit import bucket, checkpoints, copies, notes, read
from audit.errors import LogForked
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.support.log import Recorder


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 of our own."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(s3: str, sequencer: Sequencer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> bucket.Bucket:
    for name, value in {
        "AWS_ENDPOINT_URL": s3, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    bucket._opened.cache_clear()
    import urllib3

    urllib3.request("PUT", f"{s3}/copies")
    settings.CHECKPOINT_DIR = "s3://copies/log"
    opened = bucket.configured()
    assert opened is not None
    return opened


def test_each_checkpoint_is_an_object_and_the_newest_is_found(
    store: bucket.Bucket, sequencer: Sequencer, happen: Recorder
) -> None:
    for _ in range(12):
        happen(1)
        sequencer.run_once()
    kept = copies.latest(key=notes.parse_vkey(read.vkey()))
    assert kept and kept[0].size == 13 and kept[1] == read.checkpoint_note()
    assert (
        read.strength() == "T1" and verify_log().is_good and copies.generations(checkpoints.current_log().origin) == 1
    )
    key = checkpoints.load_log_key(checkpoints.key_path())
    origin = checkpoints.current_log().origin
    checkpoints.begin_generation("restored", key=key, by="cli:op")
    Sequencer().run_once()
    assert copies.generations(origin) == 2


def test_a_database_behind_the_store_signs_nothing(
    store: bucket.Bucket, sequencer: Sequencer, happen: Recorder
) -> None:
    sequencer.run_once()
    log, key = checkpoints.current_log(), checkpoints.load_log_key(checkpoints.key_path())
    store.keep(notes.sign(notes.Checkpoint(log.origin, 9, bytes(32)), key), origin=log.origin)
    with pytest.raises(LogForked):
        Sequencer().run_once()


def test_a_store_that_does_not_answer_stops_the_signing_and_loses_nothing(
    store: bucket.Bucket, sequencer: Sequencer, happen: Recorder, settings: Settings
) -> None:
    sequencer.run_once()
    happen(2)
    settings.CHECKPOINT_DIR = "s3://nosuchbucket/log"
    with pytest.raises(OSError):
        sequencer.run_once()
    settings.CHECKPOINT_DIR = "s3://copies/log"
    assert sequencer.run_once() == 3


def test_rubbish_in_the_store_is_never_taken_for_nothing(
    store: bucket.Bucket, sequencer: Sequencer, happen: Recorder
) -> None:
    sequencer.run_once()
    origin = checkpoints.current_log().origin
    store.keep(f"{origin}\n7\nrubbish\n", origin=origin)
    kept = copies.latest(key=notes.parse_vkey(read.vkey()))
    assert kept and kept[0].size == 1
    other = notes.parse_vkey(read.vkey())
    stranger = notes.VerifierKey(origin, notes.ED25519, bytes(32))
    assert other.name == stranger.name
    with pytest.raises(notes.NoteRefused):
        copies.latest(key=stranger)


def test_without_the_extra_the_start_says_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHECKPOINT_DIR = "s3://copies/log"
    bucket._opened.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ValueError, match=r"aims-console\[store\]"):
        read.check_attesting()
    monkeypatch.undo()
    settings.CHECKPOINT_DIR = "nonsense://x"
    with pytest.raises(ValueError, match="AIMS_CHECKPOINT_DIR"):
        read.check_attesting()
    bucket._opened.cache_clear()
