"""Checkpoints go to witnesses beside the sequencer, and no witness is believed without proof."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pytest_django import Settings

from audit import beside, checkpoints, cosigning, notes, policy, proving, read, tree, trust
from audit.cosigning import Cosigner
from audit.errors import LogForked
from audit.models import Cosignature, Entry, InboxRow, Log, WitnessState
from audit.sequencer import Sequencer
from audit.verify import verify_log
from audit.witness.app import Witness
from tests.support.log import Recorder
from tests.support.witnessing import Clock, Network, Reply, witness

ONE, TWO = "https://one.example", "https://two.example/w"
Follow = Callable[..., policy.Policy]


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC).timestamp())


@pytest.fixture
def network(sequencer: Sequencer, happen: Recorder, tmp_path: Path, clock: Clock) -> Network:
    happen(3)
    sequencer.run_once()
    key = notes.parse_vkey(read.vkey())
    them = {url: witness(tmp_path / str(n), key, name=f"w{n}.example", clock=clock) for n, url in enumerate((ONE, TWO))}
    return Network(them)


@pytest.fixture
def follow(network: Network, tmp_path: Path, settings: Settings) -> Follow:
    def follow(quorum: str = "group both all w0 w1\nquorum both") -> policy.Policy:
        lines = [f"witness w{n} {each.vkey} {url}" for n, (url, each) in enumerate(network.witnesses.items())]
        path = tmp_path / "policy"
        path.write_text("\n".join([*lines, quorum, ""]))
        settings.TLOG_POLICY = str(path)
        return trust.configured()

    return follow


def now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.now, UTC)


def troubles() -> dict[str, str]:
    return dict(WitnessState.objects.values_list("witness", "trouble"))


def test_every_witness_cosigns_and_the_proof_carries_it(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, happen: Recorder
) -> None:
    followed = follow()
    Cosigner(network).round(now(clock))
    happen(300)
    sequencer.run_once()
    clock.now += 10
    Cosigner(network).round(now(clock))
    assert troubles() == {"w0.example": "", "w1.example": ""}
    assert sorted(Cosignature.objects.values_list("size", flat=True)) == [4, 4, 304, 304]
    proof = notes.parse_proof(read.tlog_proof(2, scope=read.EVERYTHING))
    assert set(followed.require(proof.note)) == {"w0", "w1"}
    key = notes.parse_vkey(read.vkey())
    notes.verify_proof(
        read.tlog_proof(2, scope=read.EVERYTHING),
        entry=read.entry_bytes(2, scope=read.EVERYTHING),
        keys=[key],
        origin=key.name,
    )
    assert read.checkpoint_note() == proof.note
    assert network.asked == [f"POST {url}/add-checkpoint" for url in (ONE, TWO, ONE, TWO)]


def test_a_proof_is_given_under_the_newest_checkpoint_with_a_quorum(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, happen: Recorder
) -> None:
    follow()
    Cosigner(network).round(now(clock))
    network.down.add(TWO)
    happen(3)
    sequencer.run_once()
    clock.now += 10
    Cosigner(network).round(now(clock))
    assert (
        notes.parse_checkpoint(notes.text_of(notes.parse_proof(read.tlog_proof(2, scope=read.EVERYTHING)).note)).size
        == 4
    )
    assert (
        notes.parse_checkpoint(notes.text_of(notes.parse_proof(read.tlog_proof(5, scope=read.EVERYTHING)).note)).size
        == 7
    )
    assert troubles()["w1.example"] == "unreachable"


def test_nobody_is_asked_more_often_than_agreed_and_a_dead_one_ever_more_rarely(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, happen: Recorder
) -> None:
    follow()
    network.down.add(ONE)
    network.down.add(TWO)
    for _ in range(60):
        Cosigner(network).round(now(clock))
        clock.now += 1
    assert len(network.asked) == 2 * 3, network.asked  # at 0, 10 and 30 seconds; the next would be at 70
    network.down.clear()
    clock.now += cosigning.BACKOFF_MAX_S
    Cosigner(network).round(now(clock))
    network.asked.clear()
    clock.now += 60
    Cosigner(network).round(now(clock))
    assert not network.asked  # nothing grew
    clock.now += cosigning.FRESHEN_S
    Cosigner(network).round(now(clock))
    assert len(network.asked) == 2 and Cosignature.objects.count() == 4


def test_a_console_that_lost_its_cosignatures_is_told_the_size_and_goes_on(
    network: Network,
    follow: Follow,
    clock: Clock,
    sequencer: Sequencer,
    happen: Recorder,
    as_owner: Callable[..., None],
) -> None:
    follow()
    Cosigner(network).round(now(clock))
    as_owner("DELETE FROM audit_cosignature")
    happen(5)
    sequencer.run_once()
    clock.now += 10
    Cosigner(network).round(now(clock))
    assert troubles() == {"w0.example": "", "w1.example": ""} and Cosignature.objects.filter(size=9).count() == 2


def lie(network: Network, kind: str, clock: Clock) -> Reply:
    liar, stranger = network.witnesses[ONE], Ed25519PrivateKey.generate()
    text = notes.text_of(read.latest_checkpoint().note)

    def line(key: Ed25519PrivateKey, text: str, at: float) -> Reply:
        return Reply(200, {}, notes.cosign(text, key, "w0.example", now=int(at)).encode())

    return {
        "wrong key": lambda: line(stranger, text, clock.now),
        "another text": lambda: line(liar._key, text.replace("\n4\n", "\n5\n"), clock.now),
        "older": lambda: line(liar._key, text, clock.now - 86_400),
        "to come": lambda: line(liar._key, text, clock.now + 86_400),
        "nothing": lambda: Reply(200, {}, b""),
        "rubbish": lambda: Reply(200, {}, b"\xff\xfe"),
        "html": lambda: Reply(200, {}, b"<html>"),
        "no size": lambda: Reply(409, {"content-type": "text/plain"}, b"7\n"),
        "a size without end": lambda: Reply(409, {"content-type": "text/x.tlog.size"}, b"7"),
        "more than there is": lambda: Reply(409, {"content-type": "text/x.tlog.size"}, b"7000\n"),
        "unproven": lambda: Reply(422, {}, b""),
        "redirect": lambda: Reply(302, {"location": "https://elsewhere.example"}, b""),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [
        ("wrong key", "wrong_signature"), ("another text", "wrong_signature"), ("older", "wrong_time"),
        ("to come", "wrong_time"), ("nothing", "wrong_signature"), ("rubbish", "wrong_signature"),
        ("html", "wrong_signature"), ("no size", "refused"), ("a size without end", "refused"),
        ("more than there is", "unproven"), ("unproven", "unproven"), ("redirect", "refused"),
    ],
)  # fmt: skip
def test_a_witness_that_lies_is_refused_and_said(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, kind: str, trouble: str
) -> None:
    follow()
    network.lies[ONE] = lie(network, kind, clock)
    Cosigner(network).round(now(clock))
    assert troubles() == {"w0.example": trouble, "w1.example": ""}
    assert list(Cosignature.objects.values_list("witness", flat=True)) == ["w1.example"]
    clock.now += 3600
    network.lies[ONE] = lie(network, kind, clock)
    Cosigner(network).round(now(clock))
    sequencer.run_once()
    said = Entry.objects.filter(type="audit.witness.refused")
    assert said.count() == (1 if trouble in cosigning.LIES else 0)  # once, however often it is told
    assert not Cosignature.objects.filter(witness="w0.example").exists()
    sequencer.run_once()


def test_a_time_before_the_last_one_is_a_replay(network: Network, follow: Follow, clock: Clock) -> None:
    follow()
    Cosigner(network).round(now(clock))
    network.lies[ONE] = lie(network, "older", Clock(clock.now + 86_400 - 1))
    clock.now += cosigning.FRESHEN_S + 1
    Cosigner(network).round(now(clock))
    assert troubles()["w0.example"] == "wrong_time"


def test_a_database_that_was_restored_and_grew_again_is_found_out_by_the_witness(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, happen: Recorder, settings: Settings,
    as_owner: Callable[..., None], tmp_path: Path,
) -> None:  # fmt: skip
    follow()
    happen(6)
    sequencer.run_once()
    Cosigner(network).round(now(clock))
    published = read.latest_checkpoint().note
    _restore(as_owner, 4)
    settings.CHECKPOINT_DIR = str(tmp_path / "lost too")
    happen(20)
    again = Sequencer(outside=lambda log: ())  # as if no witness could be reached at its start
    again.run_once()
    clock.now += 10
    Cosigner(network, heed=again.heed).round(now(clock))
    assert set(troubles().values()) == {"ahead"}
    happen(1)
    with pytest.raises(LogForked) as refusal:
        again.run_once()
    assert refusal.value.code == "inconsistent"
    with pytest.raises(LogForked):  # and at every start from now on
        Sequencer(outside=beside.witnessed(network)).run_once()
    key, grown = checkpoints.load_log_key(checkpoints.key_path()), read.size()
    log = checkpoints.begin_generation("restored", key=key, by="cli:op", outside=beside.witnessed(network))
    assert log.origin.endswith("/g2") and log.base == grown
    Sequencer(outside=beside.witnessed(network)).run_once()
    first = read.entry(log.base, scope=read.EVERYTHING)
    assert first.data["last_size"] == 24  # what was signed last, whoever else shows less
    assert not InboxRow.objects.exists()
    view = cosigning.view(network, trust.configured().witnesses[0], Log.objects.get(generation=1))
    assert view and view[1] == published


def test_a_database_behind_the_witnesses_signs_nothing(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, happen: Recorder, settings: Settings,
    as_owner: Callable[..., None], tmp_path: Path,
) -> None:  # fmt: skip
    follow()
    happen(6)
    sequencer.run_once()
    Cosigner(network).round(now(clock))
    published = read.latest_checkpoint().note
    _restore(as_owner, 4)
    settings.CHECKPOINT_DIR = str(tmp_path / "lost too")
    with pytest.raises(LogForked) as refusal:
        Sequencer(outside=beside.witnessed(network)).run_once()
    assert refusal.value.code == "behind"
    key = checkpoints.load_log_key(checkpoints.key_path())
    log = checkpoints.begin_generation("restored", key=key, by="cli:op", outside=beside.witnessed(network))
    assert log.base == 10
    Sequencer(outside=beside.witnessed(network)).run_once()
    assert base64.b64decode(read.entry(10, scope=read.EVERYTHING).data["last_checkpoint"]).decode() == published


def _restore(tamper: Callable[..., None], size: int) -> None:
    from tests.faults.audit.test_crashes import _restore as restore

    restore(tamper, size)
    tamper("DELETE FROM audit_cosignature")


def test_without_witnesses_nothing_is_asked_and_the_newest_checkpoint_proves(
    sequencer: Sequencer, happen: Recorder
) -> None:
    sequencer.run_once()
    Cosigner(Network({})).round(datetime.now(UTC))
    assert proving.checkpoint_over(checkpoints.current_log(), 0) == proving.Signed(1, read.latest_checkpoint().note)
    assert verify_log().is_good


def test_a_wrong_policy_is_named_by_its_line(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "policy"
    settings.TLOG_POLICY = str(path)
    with pytest.raises(OSError):
        read.check_policy()
    path.write_text("# a\nwitness x y\nquorum none\n")
    with pytest.raises(ValueError, match="line 2"):
        read.check_policy()


def test_the_turn_beside_the_sequencer_survives_whatever_fails(
    network: Network, follow: Follow, clock: Clock, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow()
    turns = beside.Beside(sequencer, network)
    monkeypatch.setattr(tree, "reader", lambda generation: 1 / 0)
    turns.turn(now(clock) + timedelta(seconds=1))
    monkeypatch.undo()
    assert isinstance(network.witnesses[ONE], Witness)
    turns.turn(now(clock) + timedelta(seconds=60))
