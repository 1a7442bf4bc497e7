"""The one story from the outside: one command plays it, and its files check out with code that is not ours.

Everything below the fixture reads files only: joserfc judges the signatures, fido2 the passkey, hashlib and
cryptography the log. Nothing of the project is imported but the root folder's path.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fido2.cose import CoseKey
from joserfc import jws
from joserfc.jwk import KeySet

from tests.support.running import ROOT

STORY_MAX_S = 120  # of a machine that is busy with something else; alone it takes a third of a minute
FILES = {
    "receipt.jwt", "jwks.json", "access-token.jwt", "entry.json", "entry.tlog-proof", "log.vkey", "README.txt",
    "chain.zip",
}  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Play the story once; give the folder of its evidence, and what it said."""
    out = tmp_path_factory.mktemp("story")
    done = play("--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The receipt and the log verify." in done.stdout
    return out, done.stdout


@pytest.fixture(scope="module")
def story(played: tuple[Path, str]) -> Path:
    return played[0]


def play(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "demo", *options]
    if "--unattended" not in options:
        command.insert(3, "--unattended")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIMS_", "DJANGO_"))}
    environment = inherited | {"AIMS_NO_BOOTSTRAP": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=STORY_MAX_S)


def claims_of(path: Path, keys: KeySet, typ: str) -> dict[str, Any]:
    verified = jws.deserialize_compact(path.read_text().strip(), keys, algorithms=["ES256"])
    assert verified.headers()["typ"] == typ
    return dict(json.loads(verified.payload))


def unb64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def tagged(raw: bytes) -> str:
    return "sha-256:" + base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def keys(story: Path) -> KeySet:
    return KeySet.import_key_set(json.loads((story / "jwks.json").read_text()))


@pytest.fixture(scope="module")
def receipt(story: Path, keys: KeySet) -> dict[str, Any]:
    return claims_of(story / "receipt.jwt", keys, "approval-receipt+jwt")


@pytest.fixture(scope="module")
def token(story: Path, keys: KeySet) -> dict[str, Any]:
    return claims_of(story / "access-token.jwt", keys, "at+jwt")


def test_the_evidence_is_complete(story: Path) -> None:
    assert {path.name for path in story.iterdir()} == FILES


@pytest.mark.spec("RFC 8693", "4.1", "three agents act one for the other, and the last one's token says so")
def test_three_agents_act_one_for_the_other(played: tuple[Path, str]) -> None:
    assert "the change is merged: by keeper for mason for foreman, for usr_" in played[1]


@pytest.mark.spec("RFC 7009", "2.1", "what a person takes back from the first agent, the third can no longer use")
def test_what_a_person_takes_back_is_dead_two_agents_further_on(played: tuple[Path, str]) -> None:
    # The command itself ends with an error where it took a second, or where the answer was another one.
    measured = next(line for line in played[1].splitlines() if line.startswith("From the click"))
    print(measured)
    assert "keeper: the repository no longer takes my token: The token is no longer active." in played[1]


def test_the_token_names_the_receipt_by_its_hash(story: Path, token: dict[str, Any]) -> None:
    text = (story / "receipt.jwt").read_text().strip()
    assert token["approval"]["receipt_hash"] == tagged(text.encode())


def test_the_token_carries_the_action_exactly_as_it_was_asked(receipt: dict[str, Any], token: dict[str, Any]) -> None:
    asked = json.loads(unb64url(receipt["request_jcs"]))
    assert token["authorization_details"] == asked["authorization_details"]
    assert token["approval"]["id"] == asked["request_id"]
    assert token["exp"] <= token["approval"]["approved_until"]


def test_the_passkey_signed_this_request_and_this_decision(receipt: dict[str, Any]) -> None:
    (approval,) = receipt["approvals"]
    context = unb64url(approval["context_jcs"])
    said = json.loads(context)
    assert said["request_hash"] == receipt["request_hash"] == tagged(unb64url(receipt["request_jcs"]))
    assert (said["decision"], said["approver"]) == ("approve", approval["approver"])
    client_data = unb64url(approval["clientDataJSON"])
    challenge = hashlib.sha256(b"agent-approval/v1\x00" + context).digest()
    assert unb64url(json.loads(client_data)["challenge"]) == challenge
    data = unb64url(approval["authenticatorData"])
    key = CoseKey.parse(cbor2.loads(unb64url(approval["cose_key"])))
    key.verify(data + hashlib.sha256(client_data).digest(), unb64url(approval["signature"]))  # raises if it is not so


def test_another_decision_does_not_fit_the_signature(receipt: dict[str, Any]) -> None:
    (approval,) = receipt["approvals"]
    other = unb64url(approval["context_jcs"]).replace(b'"approve"', b'"deny"')
    challenge = hashlib.sha256(b"agent-approval/v1\x00" + other).digest()
    assert unb64url(json.loads(unb64url(approval["clientDataJSON"]))["challenge"]) != challenge


def test_the_decision_is_a_leaf_under_the_signed_checkpoint(story: Path, receipt: dict[str, Any]) -> None:
    entry = (story / "entry.json").read_bytes()
    told = json.loads(entry)
    assert told["data"]["receipt_hash"] == tagged((story / "receipt.jwt").read_text().strip().encode())
    assert told["data"]["request_hash"] == receipt["request_hash"]
    head, note = (story / "entry.tlog-proof").read_text().split("\n\n", 1)
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    index = int(lines[1].removeprefix("index "))
    path = [base64.b64decode(line) for line in lines[2:]]
    text, _, signature = note.partition("\n\n")
    _origin, size, root = text.split("\n")
    assert walk(entry, index, int(size), path) == base64.b64decode(root)
    check_note(text + "\n", signature, (story / "log.vkey").read_text().strip())


def test_a_changed_entry_is_no_leaf_of_the_log(story: Path) -> None:
    entry = (story / "entry.json").read_bytes()
    head, note = (story / "entry.tlog-proof").read_text().split("\n\n", 1)
    lines = head.split("\n")
    _origin, size, root = note.split("\n\n")[0].split("\n")
    path = [base64.b64decode(line) for line in lines[2:]]
    index = int(lines[1].removeprefix("index "))
    assert walk(entry.replace(b"approve", b"denying"), index, int(size), path) != base64.b64decode(root)


def test_the_chain_of_agents_is_told_on_paper_and_proven_without_the_project(story: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(story / "chain.zip") as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    assert {"INDEX.txt", "story.pdf", "story.jsonl", "range.jsonl", "receipts.jwks.json"} <= names
    assert (tmp_path / "story.pdf").read_bytes().startswith(b"%PDF-1.7")
    command = [sys.executable, "-I", "aims_verify.py", str(story / "chain.zip"), "--vkey", str(story / "log.vkey")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=STORY_MAX_S)
    assert done.returncode == 0 and "none left out" in done.stdout, done.stdout + done.stderr
    told = (tmp_path / "story.jsonl").read_text()
    assert all(f"spiffe://acme.example/agent/{name}" in told for name in ("foreman", "mason", "keeper"))
    assert (tmp_path / "receipts.jwks.json").read_bytes().strip() != b'{"keys":[]}'


def test_no_private_key_is_left_behind(story: Path) -> None:
    with zipfile.ZipFile(story / "chain.zip") as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    for name, raw in [*packed.items(), *((path.name, path.read_bytes()) for path in story.iterdir())]:
        assert b'"d":' not in raw and b"PRIVATE KEY" not in raw, name


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--host", "0.0.0.0"], "loopback only"),
        (["--host", "192.0.2.1"], "loopback only"),
    ],
)
def test_the_demo_refuses_to_be_seen_from_outside(options: list[str], why: str) -> None:
    done = play(*options)
    assert done.returncode != 0 and why in done.stderr


def walk(entry: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that an inclusion path leads to. Spec: RFC 9162 §2.1.3.2, written here from its text."""
    assert index < size
    fn, sn = index, size - 1
    node = hashlib.sha256(b"\x00" + entry).digest()
    for sibling in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return node


def check_note(text: str, signature: str, vkey: str) -> None:
    """Raise unless the note is signed by the key. Spec: C2SP signed-note."""
    name, key_id, key = vkey.split("+", 2)
    raw = base64.b64decode(key)
    assert raw[0] == 1 and hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == key_id
    (line,) = [line for line in signature.split("\n") if line.startswith(f"— {name} ")]
    blob = base64.b64decode(line.split(" ")[2])
    assert blob[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(blob[4:], text.encode())
