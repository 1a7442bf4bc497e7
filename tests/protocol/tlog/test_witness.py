"""C2SP tlog-witness, over ASGI: every answer it names, and nothing cosigned that does not continue."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import merkle, notes
from audit.witness import memory, request
from audit.witness.app import Witness
from tests.support.witnessing import NOW, Clock, Grown, Reply, call, submission, witness

LOG = Grown()
OTHER = Grown(history="other ")
OTHER.key = LOG.key


def add(app: Witness, body: bytes) -> Reply:
    return call(app, "POST", "/add-checkpoint", body)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Witness:
    return witness(tmp_path, LOG.vkey, clock=clock)


def cosigned_at(app: Witness, note: str, reply: Reply) -> int:
    assert reply.status == 200
    return notes.cosignatures(note + reply.text, [notes.parse_vkey(app.vkey)])[notes.parse_vkey(app.vkey)]


@pytest.mark.spec(
    "C2SP tlog-witness", "add-checkpoint", "a checkpoint that continues what was cosigned is cosigned, with the time"
)
def test_a_log_that_only_grows_is_cosigned(app: Witness) -> None:
    for old, size in ((0, 4), (4, 4), (4, 9), (9, 300)):
        assert cosigned_at(app, LOG.note(size), add(app, LOG.submission(old, size))) == NOW


@pytest.mark.spec("C2SP tlog-witness", "add-checkpoint", "an empty tree may be cosigned, and grows from nothing")
def test_an_empty_tree_is_cosigned_and_grows(app: Witness) -> None:
    assert add(app, LOG.submission(0, 0)).status == 200
    assert add(app, LOG.submission(0, 3)).status == 200


@pytest.mark.spec(
    "C2SP tlog-witness", "add-checkpoint", "the body may come in pieces, and may carry signatures of unknown keys"
)
def test_foreign_signatures_are_passed_over_and_not_repeated(app: Witness) -> None:
    stranger = notes.cosign(LOG.note(4), Ed25519PrivateKey.generate(), "someone.example/w", now=NOW)
    reply = call(app, "POST", "/add-checkpoint", submission(0, (), LOG.note(4) + stranger), pieces=7)
    assert reply.status == 200
    hashed = hashlib.sha256(LOG.origin.encode()).hexdigest()
    assert call(app, "GET", f"/{hashed}/checkpoint").text == LOG.note(4) + reply.text


@pytest.mark.spec("C2SP tlog-witness", "add-checkpoint", "404 where the origin is unknown")
def test_an_unknown_origin_is_404(app: Witness) -> None:
    assert add(app, Grown("elsewhere.example/log").submission(0, 1)).status == 404


@pytest.mark.spec(
    "C2SP tlog-witness", "add-checkpoint", "403 without a signature of a trusted key, or with a wrong one"
)
def test_what_the_log_did_not_sign_is_403(app: Witness) -> None:
    stranger = Grown(LOG.origin)
    forged = LOG.note(4).replace("\n4\n", "\n5\n")
    both = LOG.note(4) + LOG.note(5).splitlines(keepends=True)[-1]  # one of them over another text
    for note in (stranger.note(4), forged, both):
        assert add(app, submission(0, (), note)).status == 403
    assert add(app, LOG.submission(0, 4)).status == 200


@pytest.mark.spec("C2SP tlog-witness", "add-checkpoint", "400 where the old size is larger than the checkpoint's")
def test_an_old_size_beyond_the_checkpoint_is_400(app: Witness) -> None:
    add(app, LOG.submission(0, 9))
    assert add(app, submission(9, (), LOG.note(4))).status == 400


@pytest.mark.spec(
    "C2SP tlog-witness", "add-checkpoint", "409 with the size that was cosigned last, as text/x.tlog.size"
)
@pytest.mark.parametrize("old", [0, 3, 5])
def test_another_old_size_is_409_and_tells_the_right_one(app: Witness, old: int) -> None:
    add(app, LOG.submission(0, 4))
    reply = add(app, LOG.submission(old, 9))
    assert (reply.status, reply.text, reply.headers["content-type"]) == (409, "4\n", "text/x.tlog.size")
    assert add(app, LOG.submission(4, 9)).status == 200


@pytest.mark.spec(
    "C2SP tlog-witness",
    "add-checkpoint",
    "422 where the proof does not hold, is not empty from nothing, or roots differ",
)
@pytest.mark.parametrize(
    "body",
    [
        submission(4, LOG.proof(4, 9)[1:], LOG.note(9)),
        submission(4, [*LOG.proof(4, 9), bytes(32)], LOG.note(9)),
        submission(4, [], LOG.note(9)),
        submission(4, OTHER.proof(4, 9), OTHER.note(9)),
        submission(4, [], OTHER.note(4)),
        submission(4, LOG.proof(2, 4), LOG.note(4)),
    ],
    ids=["short", "long", "none", "another history", "another root", "a proof of nothing"],
)
def test_a_tree_that_was_not_only_added_to_is_422_and_changes_nothing(app: Witness, body: bytes) -> None:
    add(app, LOG.submission(0, 4))
    assert add(app, body).status == 422
    assert add(app, LOG.submission(4, 9)).status == 200


@pytest.mark.spec(
    "C2SP tlog-witness", "add-checkpoint", "422 for an empty tree with another root, or a proof from nothing"
)
def test_nothing_is_proven_from_nothing(app: Witness) -> None:
    empty = notes.sign(notes.Checkpoint(LOG.origin, 0, bytes(32)), LOG.key)
    assert add(app, submission(0, (), empty)).status == 422
    assert add(app, submission(0, [bytes(32)], LOG.note(4))).status == 422
    assert call(app, "GET", f"/{hashlib.sha256(LOG.origin.encode()).hexdigest()}/checkpoint").status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 0", b"old 0\n", b"old 00\n\n" + LOG.note(1).encode(), b"old -1\n\n" + LOG.note(1).encode(),
        b"Old 0\n\n" + LOG.note(1).encode(), b"old  0\n\n" + LOG.note(1).encode(), b"old 0\n" + LOG.note(1).encode(),
        b"old 0\nnot base64\n\n" + LOG.note(1).encode(), b"old 0\nAAAA\n\n" + LOG.note(1).encode(),
        b"old 0\r\n\r\n" + LOG.note(1).encode(), b"old 0\n\n" + LOG.note(1).encode()[:-1], b"\xff\xfe\x00",
        b"old 0\n" + 64 * (base64.b64encode(bytes(32)) + b"\n") + b"\n" + LOG.note(1).encode(),
        b"old 0\n\nconsole.example/log/1\n01\n" + base64.b64encode(bytes(32)) + b"\n\n" + "— a AAAAAAA=\n".encode(),
        b"old 99999999999999999999\n\n" + LOG.note(1).encode(),
    ],
)  # fmt: skip
def test_a_malformed_request_is_400(app: Witness, body: bytes) -> None:
    assert add(app, body).status == 400


def test_a_body_without_end_is_refused_early(app: Witness) -> None:
    assert add(app, b"old 0\n\n" + bytes(request.BODY_MAX_BYTES)).status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405), ("PUT", "/add-checkpoint", 405), ("POST", "/vkey", 405), ("GET", "/", 404),
        ("GET", "/x/checkpoint", 404), ("GET", f"/{'A' * 64}/checkpoint", 404), ("GET", f"/{'a' * 64}/checkpoint", 404),
        ("POST", "/sign-subtree", 405),
    ],
)  # fmt: skip
def test_what_it_does_not_offer_is_refused(app: Witness, method: str, path: str, status: int) -> None:
    assert call(app, method, path).status == status


@pytest.mark.spec(
    "C2SP tlog-witness",
    "Monitor Retrieval Mechanism",
    "the last cosigned checkpoint, with the log's signature and the cosignature",
)
def test_monitors_see_what_was_cosigned_last(app: Witness) -> None:
    add(app, LOG.submission(0, 4))
    line = add(app, LOG.submission(4, 9)).text
    reply = call(app, "GET", f"/{hashlib.sha256(LOG.origin.encode()).hexdigest()}/checkpoint")
    assert reply.status == 200 and reply.text == LOG.note(9) + line
    assert call(app, "GET", "/vkey").text == app.vkey + "\n"


@pytest.mark.spec("C2SP tlog-witness", "add-checkpoint", "the check of the old size and the storing are one step")
def test_of_two_at_once_from_one_size_exactly_one_is_cosigned(tmp_path: Path) -> None:
    app = witness(tmp_path, LOG.vkey)
    add(app, LOG.submission(0, 4))
    bodies = [LOG.submission(4, size) for size in (6, 7, 8, 9)]
    answers: list[int] = []
    threads = [threading.Thread(target=lambda body=body: answers.append(add(app, body).status)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409, 409, 409]


@pytest.mark.spec("C2SP tlog-witness", "add-checkpoint", "the checkpoint is persisted before the answer")
def test_a_witness_remembers_after_a_restart_and_cosigns_nothing_it_can_not_remember(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(witness(tmp_path, LOG.vkey), LOG.submission(0, 9))
    again = witness(tmp_path, LOG.vkey)
    assert add(again, LOG.submission(0, 4)).text == "9\n"

    def full(self: memory.Memory) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(memory.Memory, "_open", full)
    assert add(again, LOG.submission(9, 12)).status == 503


def test_a_clock_that_was_set_back_never_makes_an_older_statement(app: Witness, clock: Clock) -> None:
    add(app, LOG.submission(0, 4))
    clock.now = NOW - 86_400
    assert cosigned_at(app, LOG.note(9), add(app, LOG.submission(4, 9))) == NOW


def test_two_logs_of_one_witness_know_nothing_of_each_other(tmp_path: Path) -> None:
    second = Grown("console.example/log/1/g2")
    app = witness(tmp_path, LOG.vkey, second.vkey)
    add(app, LOG.submission(0, 9))
    assert add(app, second.submission(0, 3)).status == 200


@pytest.mark.spec("C2SP tlog-witness", "add-checkpoint", "the example of the digest: 200, and 409 with the size")
def test_the_vectors_are_answered_as_they_say(tmp_path: Path) -> None:
    vectors = json.loads((Path(__file__).parents[2] / "vectors/c2sp-tlog.json").read_text())
    key = notes.parse_vkey(vectors["log_vkey"])
    grown, stale = vectors["witness_add_checkpoint_old4_new8"], vectors["witness_add_checkpoint_stale"]
    for case in (grown, stale):
        app = witness(tmp_path / str(case["expect"]), key)
        root = bytes.fromhex(case.get("witness_state_root_hex", "00" * 32))
        held = request.Held(case["witness_state_size"], root, 1)
        app._memory.advance(key.name, lambda _, held=held: (held, ""))  # type: ignore[misc]
        reply = add(app, case["body"].encode())
        assert reply.status == case["expect"]
        assert reply.status == 200 or reply.text == case["response_body"]
    assert hashlib.sha256(b"").digest() == merkle.EMPTY_ROOT
