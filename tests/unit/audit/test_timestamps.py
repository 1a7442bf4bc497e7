"""RFC 3161 time stamps on checkpoints, by a real authority; and everything that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from audit import read, strength, timestamps
from audit.models import Entry, Timestamp, WitnessState
from audit.sequencer import Sequencer
from audit.timestamps import Stamper
from audit.verify import verify_log
from tests.support.log import Recorder
from tests.support.stamping import Authority, Server, ask


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tsa") / "one")
    made.certificate("other")
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "two", name="another root")


@pytest.fixture
def server(authority: Authority, settings: Settings) -> Iterator[Server]:
    with Server(authority) as server:
        settings.TSA_URL, settings.TSA_ROOTS = server.url, str(authority.roots)
        yield server


def request_for(text: str) -> bytes:
    return TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()


def trouble() -> str:
    return WitnessState.objects.get(witness="rfc3161").trouble


@pytest.mark.spec(
    "RFC 3161", "2.4.2", "a token over the checkpoint's text, with our nonce and a trusted chain, is kept"
)
def test_the_newest_checkpoint_is_stamped_once_an_hour(server: Server, sequencer: Sequencer, happen: Recorder) -> None:
    sequencer.run_once()
    now = datetime.now(UTC)
    Stamper(ask).round(now)
    stamp = Timestamp.objects.get()
    assert stamp.size == 1 and abs(stamp.stamped_at - now) < timedelta(seconds=10) and trouble() == ""
    happen(3)
    sequencer.run_once()
    Stamper(ask).round(now + timedelta(minutes=59))
    assert server.asked == 1
    assert verify_log().is_good and strength.assess(now).tier == "T2" and read.strength() == "T2"
    assert strength.assess(now + timedelta(hours=3)).tier == "T1"  # too old to count


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("garbage", "malformed"), ("nothing", "malformed"), ("cut", "malformed"), ("oversize", "unreachable"),
        ("another nonce", "wrong_nonce"), ("another imprint", "wrong_imprint"), ("a flipped byte", None),
        ("another root", "wrong_chain"), ("without the usage", "wrong_chain"), ("rejection", "refused"),
        ("another kind", "refused"), ("an error", "refused"),
    ],
)  # fmt: skip
@pytest.mark.spec("RFC 3161", "2.4.2", "what is not a time stamp on this checkpoint by a trusted authority is refused")
def test_what_is_no_time_stamp_on_this_checkpoint_is_refused(
    server: Server, authority: Authority, stranger: Authority, sequencer: Sequencer, change: str, code: str | None
) -> None:
    sequencer.run_once()
    text = read.latest_checkpoint().note.split("\n\n")[0] + "\n"
    changes: dict[str, Callable[[bytes], bytes]] = {
        "garbage": lambda reply: b"<html>",
        "nothing": lambda reply: b"",
        "cut": lambda reply: reply[:-40],
        "oversize": lambda reply: reply + bytes(timestamps.TOKEN_MAX_BYTES),
        "another nonce": lambda reply: authority.reply(request_for(text)),
        "another imprint": lambda reply: authority.reply(request_for("another text")),
        "a flipped byte": lambda reply: reply[:-20] + bytes([reply[-20] ^ 1]) + reply[-19:],
        "another root": lambda reply: stranger.reply((authority.folder / "query").read_bytes()),
        "without the usage": lambda reply: authority.signed_again(reply, kind="other"),
        "rejection": lambda reply: b"\x30\x05\x30\x03\x02\x01\x02",
    }
    server.change = changes.get(change, server.change)
    server.kind = "text/html" if change == "another kind" else server.kind
    server.status = 500 if change == "an error" else server.status
    Stamper(ask).round(datetime.now(UTC))
    assert not Timestamp.objects.exists() and trouble()
    assert code is None or trouble() == code or (change == "another imprint" and trouble() == "wrong_nonce")
    asked = server.asked
    Stamper(ask).round(datetime.now(UTC))
    assert server.asked == asked  # not again at once
    sequencer.run_once()
    assert Entry.objects.filter(type="audit.timestamp.refused").count() == (trouble() not in ("unreachable", "refused"))


def test_a_token_over_another_text_is_refused_without_a_nonce_too(authority: Authority) -> None:
    token = authority.reply(request_for("one text\n"))
    roots = timestamps._roots(authority.roots, 0)
    assert abs(timestamps.verify(token, "one text\n", roots=roots, nonce=None) - datetime.now(UTC)) < timedelta(
        minutes=5
    )
    with pytest.raises(timestamps.NotATimestamp) as refusal:
        timestamps.verify(token, "another text\n", roots=roots, nonce=None)
    assert refusal.value.code == "wrong_imprint"
    longer = TimestampRequestBuilder().data(b"one text\n").hash_algorithm(HashAlgorithm.SHA512).build().as_bytes()
    with pytest.raises(timestamps.NotATimestamp, match="SHA-256"):
        timestamps.verify(authority.reply(longer), "one text\n", roots=roots, nonce=None)


def test_a_certificate_that_had_expired_when_it_stamped_is_refused(tmp_path: Path) -> None:
    old = Authority(tmp_path / "old")
    token = old.reply(request_for("text\n"))
    old.expire()
    again = old.signed_again(token, kind="tsa")
    with pytest.raises(timestamps.NotATimestamp) as refusal:
        timestamps.verify(again, "text\n", roots=timestamps._roots(old.roots, 1), nonce=None)
    assert refusal.value.code == "wrong_chain"


@pytest.mark.parametrize("crime", ["token", "time", "checkpoint"])
def test_a_changed_time_stamp_is_located(
    server: Server, sequencer: Sequencer, happen: Recorder, as_owner: Callable[..., None], crime: str
) -> None:
    sequencer.run_once()
    Stamper(ask).round(datetime.now(UTC))
    happen(2)
    sequencer.run_once()
    assert verify_log().is_good
    row = Timestamp.objects.get()
    if crime == "token":
        raw = bytes(row.token)
        Timestamp.objects.update(token=raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:])
    elif crime == "time":
        Timestamp.objects.update(stamped_at=row.stamped_at - timedelta(days=1))
    else:
        as_owner("DELETE FROM audit_checkpoint WHERE size = 1")
    assert verify_log().where == "timestamp/g1/1"


def test_an_authority_without_roots_is_refused_at_the_start(settings: Settings, tmp_path: Path) -> None:
    settings.TSA_URL = "https://tsa.example/"
    with pytest.raises(ValueError, match="AIMS_TSA_ROOTS"):
        read.check_attesting()
    (tmp_path / "roots").write_text("nothing")
    for path in ("roots", "none"):
        settings.TSA_ROOTS = str(tmp_path / path)
        with pytest.raises(ValueError, match="AIMS_TSA_ROOTS"):
            read.check_attesting()
