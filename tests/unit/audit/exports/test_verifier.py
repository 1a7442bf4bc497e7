"""The stand-alone verifier: what it lets through, and how it names what is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import merkle, read
from audit.exports import aims_verify, proofs, store
from audit.exports.aims_verify import BAD, GOOD, OWN_KEY, UNSIGNED, USAGE
from tests.support.exports import Bundles, Held, change, reclaim, verdict, zipped

pytestmark = pytest.mark.django_db
LINE = 20  # of the file, counted from 1: entry 24 of the log


def test_a_whole_range_is_proven_from_zip_and_folder(held: Held) -> None:
    for path in (held.folder, zipped(held.folder, held.aside / "a.zip"), zipped(held.folder, held.aside / "b.zip", 0)):
        code, said = aims_verify.verify(str(path), vkeys=[held.vkey])
        assert (code, said[-1]) == (GOOD, "Verified.")
        assert "60 entries of [5, 65): every entry of the range, none left out" in said[1]


def test_it_runs_in_an_empty_folder_without_the_project(held: Held) -> None:
    alone = held.aside / "alone"
    alone.mkdir()
    shutil.copy(aims_verify.__file__, alone)
    archive = zipped(held.folder, alone / "export.zip")
    (alone / "log.vkey").write_text(held.vkey + "\n")
    command = [sys.executable, "-I", "aims_verify.py", archive.name, "--vkey", "log.vkey", "--signatures", "openssl"]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.returncode == (GOOD if shutil.which("openssl") else UNSIGNED), done.stdout + done.stderr


def test_a_key_from_the_bundle_is_worth_less_and_no_key_at_all_is_said(held: Held) -> None:
    assert verdict(held.folder)[0] == OWN_KEY
    assert verdict(held.folder, way="none") == (
        UNSIGNED,
        "SIGNATURE NOT CHECKED: install the cryptography package or openssl and run again.",
    )


@pytest.mark.parametrize("way", ["cryptography", "openssl"])
def test_either_way_to_check_a_signature_tells_good_from_bad(held: Held, way: str) -> None:
    if way == "openssl" and not shutil.which("openssl"):
        way = "cryptography"
    assert verdict(held.folder, held.vkey, way=way)[0] == GOOD
    name, ident, key = held.vkey.split("+", 2)
    change(held.folder, "checkpoint-g1.txt", lambda lines: [*lines[:-1], _flipped_signature(lines[-1])])
    reclaim(held.folder)
    assert verdict(held.folder, held.vkey, way=way) == (
        BAD,
        f"NOT verified: checkpoint-g1.txt: the signature of {name} is wrong",
    )


def _flipped_signature(line: str) -> str:
    at = len(line) - 20
    return line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]


Bend = Callable[[list[str]], list[str]]


def at(number: int, replace: Callable[[str], list[str]]) -> Bend:
    return lambda lines: [*lines[: number - 1], *replace(lines[number - 1]), *lines[number:]]


def _flip(line: str) -> list[str]:
    return [line.replace('"count":1', '"count":2')]


def _swap(lines: list[str]) -> list[str]:
    return [*lines[: LINE - 1], lines[LINE], lines[LINE - 1], *lines[LINE + 1 :]]


BENT: dict[str, tuple[Bend, str]] = {
    "one flipped character": (at(LINE, _flip), "line 20: changed; these are not the bytes of entry 24"),
    "a line left out": (at(LINE, lambda line: []), "line 20: changed; these are not the bytes of entry 24"),
    "a line twice": (at(LINE, lambda line: [line, line]), "line 21: changed; these are not the bytes of entry 25"),
    "two lines swapped": (_swap, "line 20: changed"),
    "cut off at the end": (lambda lines: lines[:50], "line 51: missing; entry 55 should stand there"),
    "a line too much": (lambda lines: [*lines, lines[0]], "line 61: too much"),
    "a blank in a line": (at(LINE, lambda line: [line.replace(",", ", ", 1)]), "line 20: changed"),
    "a line too long": (at(LINE, lambda line: ["x" * 70_000]), "line 20: longer than 65,535 bytes"),
}


@pytest.mark.parametrize("kind", BENT)
@pytest.mark.parametrize("is_forged", [False, True])
def test_what_was_done_to_the_lines_is_named_with_its_line(held: Held, kind: str, is_forged: bool) -> None:
    bend, said = BENT[kind]
    change(held.folder, "entries.jsonl", bend)
    if is_forged:
        reclaim(held.folder)
    code, told = verdict(held.folder, held.vkey)
    assert (code, f"entries.jsonl {said}" in told) == (BAD, True), told


def test_one_flipped_character_inside_the_zip_is_named_with_its_line(held: Held) -> None:
    path = zipped(held.folder, held.aside / "stored.zip", zipfile.ZIP_STORED)
    raw = path.read_bytes()
    line = (held.folder / "entries.jsonl").read_bytes().split(b"\n")[LINE - 1]
    place = raw.index(line) + line.index(b'"count":1') + 8
    path.write_bytes(raw[:place] + b"7" + raw[place + 1 :])
    assert verdict(path, held.vkey) == (
        BAD,
        "NOT verified: entries.jsonl line 20: changed; these are not the bytes of entry 24",
    )


LEAVES_BENT: dict[str, Bend] = {
    "left out": at(LINE, lambda line: []),
    "twice": at(LINE, lambda line: [line, line]),
    "swapped": _swap,
    "another index": at(LINE, lambda line: ["25" + line[2:]]),
    "cut off": lambda lines: lines[:50],
}


@pytest.mark.parametrize("kind", LEAVES_BENT)
def test_lines_and_leaves_bent_together_do_not_lead_to_the_root(held: Held, kind: str) -> None:
    for name in ("entries.jsonl", "entries.leaves"):
        if kind != "another index" or name == "entries.leaves":
            change(held.folder, name, LEAVES_BENT[kind])
    reclaim(held.folder)
    code, told = verdict(held.folder, held.vkey)
    assert (code, "entries.leaves" in told) == (BAD, True), told


def test_an_entry_that_was_changed_with_its_leaf_does_not_lead_to_the_root(held: Held) -> None:
    change(held.folder, "entries.jsonl", at(LINE, _flip))
    changed = (held.folder / "entries.jsonl").read_bytes().split(b"\n")[LINE - 1]
    leaf = hashlib.sha256(b"\0" + changed).hexdigest()
    change(held.folder, "entries.leaves", at(LINE, lambda line: [f"24 {leaf}"]))
    reclaim(held.folder)
    assert "does not lead to the signed root" in verdict(held.folder, held.vkey)[1]


def _rows(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["sets"][0]  # type: ignore[no-any-return]


def _shorter(manifest: dict[str, Any]) -> None:
    """Say that the range ends where the forged lines end."""
    _rows(manifest).update(end=55, rows=50)
    _rows(manifest)["parts"][0].update(end=55, rows=50)


def _shifted(manifest: dict[str, Any]) -> None:
    _rows(manifest).update(first=1005, end=1065)
    _rows(manifest)["parts"][0].update(first=1005, end=1065, base=1000)


def _with_a_hole(manifest: dict[str, Any]) -> None:
    _rows(manifest).update(end=99)


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (_shifted, "counts from 0"),
        (_with_a_hole, "leave a hole"),
        (lambda m: _rows(m).update(rows=61), "not the whole of it"),
        (lambda m: _rows(m)["parts"][0].update(tree_size=60), "does not fit its checkpoint"),
        (lambda m: _rows(m).update(rows=True), "rows is not what it should be"),
        (lambda m: _rows(m).update(first=-1), "first is not what it should be"),
        (lambda m: m.update(v=2), "not an export of version 1"),
        (lambda m: m["files"].pop("HOWTO.txt"), "HOWTO.txt: not in the manifest"),
        (lambda m: m["files"].update({"more.txt": {"sha256": "", "size_bytes": 0}}), "more.txt: missing"),
        (lambda m: m.pop("sets"), "can't be read"),
        (lambda m: m.update(sets=[7]), "can't be read"),
        (lambda m: _rows(m).update(data="../../etc/passwd"), "passwd is missing"),
    ],
)
def test_a_manifest_that_claims_something_else_is_refused(
    held: Held, bend: Callable[[dict[str, Any]], None], said: str
) -> None:
    reclaim(held.folder, bend)
    code, told = verdict(held.folder, held.vkey)
    assert (code, said in told) == (BAD, True), told


def test_a_shorter_range_that_names_itself_so_needs_a_proof_of_its_own(held: Held) -> None:
    for name in ("entries.jsonl", "entries.leaves"):
        change(held.folder, name, lambda lines: lines[:50])
    reclaim(held.folder, _shorter)
    assert verdict(held.folder, held.vkey)[0] == BAD


@pytest.mark.parametrize("first", [4, 6, 7])
def test_a_proof_for_another_range_or_tree_is_refused(held: Held, first: int) -> None:
    for size in (aims_verify_size(held), 80):
        tree = merkle.reader_of([bytes([number]) * 32 for number in range(size)])
        other = proofs.make(range(first, first + 60), size, tree)
        (held.folder / "entries-g1.proof").write_text("".join(f"{hashed.hex()}\n" for hashed in other))
        reclaim(held.folder)
        code, told = verdict(held.folder, held.vkey)
        assert (code, "entries-g1.proof" in told) == (BAD, True), told


def aims_verify_size(held: Held) -> int:
    return int((held.folder / "checkpoint-g1.txt").read_text().split("\n")[1])


@pytest.mark.parametrize("proof", ["", "ab\n", "zz" * 32 + "\n", "00" * 32 + "\n"])
def test_a_proof_too_short_too_long_or_unreadable_is_refused(held: Held, proof: str) -> None:
    path = held.folder / "entries-g1.proof"
    path.write_text(path.read_text() + proof if proof else "")
    reclaim(held.folder)
    code, told = verdict(held.folder, held.vkey)
    assert (code, "entries-g1.proof" in told) == (BAD, True), told


def test_the_export_of_another_log_is_foreign(held: Held) -> None:
    other = aims_verify.Key(held.vkey, (1,))
    raw = bytes([1]) + bytes(32)
    ident = hashlib.sha256(b"elsewhere.example/log\n" + raw).digest()[:4].hex()
    foreign = f"elsewhere.example/log+{ident}+{base64.b64encode(raw).decode()}"
    code, told = verdict(held.folder, foreign)
    assert (code, "another log" in told) == (BAD, True), told
    assert other.name not in foreign
    same = hashlib.sha256(other.name.encode() + b"\n" + raw).digest()[:4].hex()
    code, told = verdict(held.folder, f"{other.name}+{same}+{base64.b64encode(raw).decode()}")
    assert (code, "not signed with the key of" in told) == (BAD, True), told


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "..", ".hidden", "C:evil", "a\\b"])
def test_a_file_name_that_leads_elsewhere_is_refused(held: Held, name: str) -> None:
    path = zipped(held.folder, held.aside / "evil.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    assert "a file name that leads elsewhere" in verdict(path, held.vkey)[1]


def test_a_zip_that_unfolds_past_its_limit_or_its_word_is_refused(held: Held) -> None:
    path = zipped(held.folder, held.aside / "big.zip")
    assert "bytes unpacked" in verdict(path, held.vkey, max_bytes=1000)[1]
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", b"\0" * 5_000_000)
    assert verdict(path, held.vkey)[1] == "NOT verified: bomb.txt: not in the manifest"
    raw = bytearray(zipped(held.folder, path).read_bytes())
    where = raw.rindex(b"entries.jsonl") - 46 + 24  # the size in the central directory
    raw[where : where + 4] = (100).to_bytes(4, "little")
    path.write_bytes(raw)
    assert verdict(path, held.vkey)[1] == "NOT verified: entries.jsonl: longer than it says"


@pytest.mark.parametrize("raw", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_bundle_is_no_verdict(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw)
    assert verdict(path)[0] == (BAD if raw.startswith(b"PK") else USAGE)
    assert verdict(tmp_path / "nowhere.zip")[0] == USAGE


def test_a_zip_cut_anywhere_is_never_good(held: Held) -> None:
    raw = zipped(held.folder, held.aside / "whole.zip").read_bytes()
    path = held.aside / "cut.zip"
    for end in range(0, len(raw), len(raw) // 25):
        path.write_bytes(raw[:end])
        assert verdict(path, held.vkey)[0] in (BAD, USAGE)


def test_a_byte_changed_anywhere_is_never_good(held: Held) -> None:
    raw = zipped(held.folder, held.aside / "whole.zip").read_bytes()
    path, whole = held.aside / "bent.zip", _unpacked(held.aside / "whole.zip")
    sizes = {each.name: each.stat().st_size for each in held.folder.iterdir()}
    assert sum(sizes.values()) > 30_000
    directory = raw.index(b"PK\1\2")
    bent = [(place, 1) for place in range(40, directory, len(raw) // 40)]
    for place, bit in bent + [(place, 1 << place % 8) for place in range(directory, len(raw), 7)]:
        path.write_bytes(raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :])
        code, told = verdict(path, held.vkey)
        assert code in (BAD, USAGE) or _unpacked(path) == whole, (place, told)


def _unpacked(path: Path) -> dict[str, bytes]:
    """Return the files of a zip by name: what it holds, whatever times and padding stand around it."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_another_member_twice_in_the_manifest_is_refused(held: Held) -> None:
    path = held.folder / "manifest.json"
    path.write_text(path.read_text().replace("{", '{"v":1,', 1))
    assert "a member twice" in verdict(held.folder, held.vkey)[1]


def test_a_policy_asks_for_its_witnesses(held: Held) -> None:
    policy = f"# ours\nlog {held.vkey}\nquorum none\n"
    assert verdict(held.folder, policy=policy)[0] == GOOD
    cosigner = _Cosigner("witness.example")
    asked = f"log {held.vkey}\nwitness w1 {cosigner.vkey}\ngroup g 1 w1\nquorum g\n"
    assert "has not cosigned it" in verdict(held.folder, policy=asked)[1]
    change(held.folder, "checkpoint-g1.txt", lambda lines: [*lines, cosigner.line("\n".join(lines[:3]) + "\n")])
    reclaim(held.folder)
    assert verdict(held.folder, policy=asked)[0] == GOOD
    both = f"log {held.vkey}\nwitness w1 {cosigner.vkey}\ngroup g all w1 w2\nquorum g\n"
    assert verdict(held.folder, policy=both)[0] == USAGE
    assert verdict(held.folder, policy="what is this")[0] == USAGE


class _Cosigner:
    def __init__(self, name: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.name, self.key = name, Ed25519PrivateKey.generate()
        raw = bytes([4]) + self.key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(raw).decode()}"

    def line(self, text: str) -> str:
        moment = 1_790_000_000
        signed = self.key.sign(f"cosignature/v1\ntime {moment}\n{text}".encode())
        raw = self.id + moment.to_bytes(8, "big") + signed
        return f"\u2014 {self.name} {base64.b64encode(raw).decode()}"


def test_the_command_is_the_same_verifier(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    key = held.aside / "log.vkey"
    key.write_text(held.vkey)
    call_command("verify", export=held.folder, vkey=key)
    assert "Verified." in capsys.readouterr().out
    with pytest.raises(CommandError) as own:
        call_command("verify", export=held.folder)
    assert own.value.returncode == OWN_KEY
    change(held.folder, "entries.jsonl", at(LINE, _flip))
    with pytest.raises(CommandError, match="line 20: changed") as bad:
        call_command("verify", export=held.folder, vkey=key)
    assert bad.value.returncode == BAD


def test_what_the_bundle_says_reaches_no_terminal_raw(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    reclaim(held.folder, lambda manifest: manifest.update(product="\x1b[2J\x07evil"))
    assert aims_verify.main([str(held.folder), "--vkey", held.vkey]) == GOOD
    assert "\x1b" not in capsys.readouterr().out


def test_the_manifest_is_the_one_that_the_log_names(bundles: Bundles) -> None:
    row = bundles.make()
    bundles.sequencer.run_once()
    folder = bundles.unpacked(row)
    entry = read.after(-1, scope=read.EVERYTHING)[-1]
    assert entry.type == "audit.export.finished"
    assert entry.data["manifest_hash"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert entry.data["bundle_hash"] == row.bundle_hash
    assert store.storage().size(store.name(row.ref)) == row.size_bytes
    assert json.loads((folder / "manifest.json").read_text())["asked_by"] == "usr_ben"
