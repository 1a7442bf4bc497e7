"""The browser's checker of exports, run outside a browser: it says what the Python one says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.exports import aims_verify
from tests.support.exports import Held, change, reclaim, verdict, zipped
from tests.support.running import ROOT
from tests.unit.audit.exports.test_verifier import _Cosigner

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        shutil.which("node") is None, reason="no node: the page's own JavaScript can't run outside a browser"
    ),
]
LIB = ROOT / "static/js/lib"
DRIVER = """
import { openAsBlob } from 'node:fs';
import { webcrypto } from 'node:crypto';
globalThis.crypto ??= webcrypto;
const { checkBundle } = await import('./bundle.mjs');
const answers = [];
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
for (const { path, ...given } of JSON.parse(Buffer.concat(chunks))) {
  answers.push(await checkBundle({ file: await openAsBlob(path), ...given }));
}
console.log(JSON.stringify(answers));
"""
RESULTS = {0: "good", 1: "bad", 2: "bad", 3: "unsigned", 4: "own-key", 5: "gaps"}
Bend = Callable[[list[str]], list[str]]
LINES: dict[str, Bend] = {
    "flipped": lambda lines: [*lines[:19], lines[19].replace('"count":1', '"count":2'), *lines[20:]],
    "left out": lambda lines: [*lines[:19], *lines[20:]],
    "twice": lambda lines: [*lines[:19], lines[19], *lines[19:]],
    "swapped": lambda lines: [*lines[:19], lines[20], lines[19], *lines[21:]],
    "cut": lambda lines: lines[:50],
    "too much": lambda lines: [*lines, lines[0]],
}


def in_node(tmp_path: Path, cases: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    for name in ("merkle", "trust", "zip", "bundle"):
        source = re.sub(r"'aims/lib/(\w+)\.js'", r"'./\1.mjs'", (LIB / f"{name}.js").read_text())
        (tmp_path / f"{name}.mjs").write_text(source)
    (tmp_path / "driver.mjs").write_text(DRIVER)
    command = ["node", str(tmp_path / "driver.mjs")]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def forged(held: Held, name: str, *, bend: Callable[[Path], object], is_forged: bool = True) -> Path:
    folder = Path(shutil.copytree(held.folder, held.aside / name))
    bend(folder)
    if is_forged:
        reclaim(folder)
    return zipped(folder, held.aside / f"{name}.zip")


def change_both(folder: Path, bend: Bend) -> None:
    for name in ("entries.jsonl", "entries.leaves"):
        change(folder, name, bend)


def test_the_browser_finds_what_python_finds(held: Held, tmp_path: Path) -> None:
    whole = zipped(held.folder, held.aside / "whole.zip")
    paths = [whole, zipped(held.folder, held.aside / "stored.zip", zipfile.ZIP_STORED)]
    for number, bend in enumerate(LINES.values()):
        for is_forged in (True, False):
            paths.append(
                forged(
                    held,
                    f"lines-{number}-{is_forged}",
                    bend=lambda folder, bend=bend: change(folder, "entries.jsonl", bend),  # type: ignore[misc]
                    is_forged=is_forged,
                )
            )
        paths.append(forged(held, f"both-{number}", bend=lambda folder, bend=bend: change_both(folder, bend)))  # type: ignore[misc]
    paths.append(
        forged(held, "howto", bend=lambda folder: change(folder, "HOWTO.txt", lambda lines: []), is_forged=False)
    )
    paths.append(forged(held, "proof", bend=lambda folder: change(folder, "entries-g1.proof", lambda lines: lines[1:])))
    evil = held.aside / "evil.zip"
    shutil.copy(whole, evil)
    with zipfile.ZipFile(evil, "a") as archive:
        archive.writestr("../evil", "x")
    (held.aside / "nothing.zip").write_bytes(b"no zip")
    (held.aside / "cut.zip").write_bytes(whole.read_bytes()[:5000])
    paths += [evil, held.aside / "nothing.zip", held.aside / "cut.zip"]
    cases = [{"path": str(path), "vkeys": held.vkey} for path in paths]
    cases.append({"path": str(whole), "vkeys": ""})
    found = in_node(tmp_path, cases)
    for case, said in zip(cases, found, strict=True):
        code, why = verdict(Path(case["path"]), *case["vkeys"].split())
        assert said["result"] == RESULTS[code], (case["path"], said, why)
        if code == aims_verify.BAD and "damaged" not in said["why"]:
            told = why.removeprefix("NOT verified: ")
            assert said["why"].split(":")[0] == told.split(":")[0], (case["path"], said["why"], told)
    assert found[2]["why"] == "entries.jsonl line 20: changed; these are not the bytes of entry 24"


def local(raw: bytes, name: bytes) -> int:
    """Return where the local header of a file begins."""
    return raw.index(name) - 30


def central(raw: bytes, name: bytes) -> int:
    """Return where a file's row of the central directory begins."""
    return raw.rindex(name) - 46


def put(raw: bytes, at: int, value: int, size: int) -> bytes:
    return raw[:at] + value.to_bytes(size, "little") + raw[at + size :]


# What other programs would read in another way: bent in the bytes of a zip that is good as it stands.
BENT: dict[str, Callable[[bytes], bytes]] = {
    "another crc": lambda raw: put(raw, central(raw, b"entries.jsonl") + 16, 7, 4),
    "another crc of the manifest": lambda raw: put(raw, central(raw, b"manifest.json") + 16, 7, 4),
    "another name at its place": lambda raw: raw.replace(b"HOWTO.txt", b"HOWTO.md_", 1),
    "another method at its place": lambda raw: put(raw, local(raw, b"entries.jsonl") + 8, 0, 2),
    "encrypted": lambda raw: put(raw, central(raw, b"entries.jsonl") + 8, 1, 2),
    "patched": lambda raw: put(raw, central(raw, b"entries.jsonl") + 8, 0x20, 2),
    "strong encryption": lambda raw: put(raw, central(raw, b"entries.jsonl") + 8, 0x40, 2),
    "another method": lambda raw: put(raw, central(raw, b"entries.jsonl") + 10, 12, 2),
    "a newer zip": lambda raw: put(raw, central(raw, b"entries.jsonl") + 6, 99, 2),
    "beyond the file": lambda raw: put(raw, central(raw, b"entries.jsonl") + 42, 0x7FFFFFFF, 4),
    "another place": lambda raw: put(raw, central(raw, b"entries.jsonl") + 42, 3, 4),
    "longer than it says": lambda raw: put(raw, central(raw, b"entries.jsonl") + 24, 100, 4),
    "a name with an end in it": lambda raw: raw.replace(b"HOWTO.txt", b"HOWTO\0txt"),
    "fewer files than there are": lambda raw: put(raw, len(raw) - 22 + 10, 3, 2),
}


def test_a_zip_that_could_be_read_in_two_ways_is_refused_by_both(held: Held, tmp_path: Path) -> None:
    whole = zipped(held.folder, held.aside / "whole.zip").read_bytes()
    cases = []
    for number, bend in enumerate(BENT.values()):
        path = held.aside / f"bent-{number}.zip"
        path.write_bytes(bend(whole))
        assert path.read_bytes() != whole
        cases.append({"path": str(path), "vkeys": held.vkey})
    for kind, case, said in zip(BENT, cases, in_node(tmp_path, cases), strict=True):
        assert said["result"] == "bad", (kind, said)
        if kind != "fewer files than there are":  # Python's own reader goes by the size of the directory
            assert verdict(Path(case["path"]), held.vkey)[0] in (aims_verify.BAD, aims_verify.USAGE), kind


def test_no_byte_of_a_zip_makes_the_browser_believe_what_python_does_not(held: Held, tmp_path: Path) -> None:
    whole = zipped(held.folder, held.aside / "whole.zip").read_bytes()
    directory, cases = whole.index(b"PK\1\2"), []
    places = [*range(0, directory, len(whole) // 30), *range(directory, len(whole), 11)]
    for place in places:
        path = held.aside / f"byte-{place}.zip"
        path.write_bytes(put(whole, place, whole[place] ^ 1 << place % 8, 1))
        cases.append({"path": str(path), "vkeys": held.vkey})
    for case, said in zip(cases, in_node(tmp_path, cases), strict=True):
        if said["result"] == "good":
            assert verdict(Path(case["path"]), held.vkey)[0] == aims_verify.GOOD, case


def test_json_that_could_be_read_in_two_ways_is_refused_by_both(held: Held, tmp_path: Path) -> None:
    manifest = (held.folder / "manifest.json").read_text()
    rows = '"rows":60'
    bends = [
        manifest.replace("{", '{"v":1,', 1),
        manifest.replace(rows, '"rows":6e1'),
        manifest.replace(rows, '"rows":60.0'),
        manifest.replace(rows, '"rows":true'),
        manifest.replace('"v":1', '"v":1.0'),
        manifest.replace('"export":"', '"export":7,"x":"'),
        "\ufeff" + manifest,
        manifest[:-1],
        "[]",
        "null",
    ]
    cases = []
    for number, text in enumerate(bends):
        assert text != manifest, number
        folder = Path(shutil.copytree(held.folder, held.aside / f"json-{number}"))
        (folder / "manifest.json").write_text(text)
        cases.append({"path": str(zipped(folder, held.aside / f"json-{number}.zip")), "vkeys": held.vkey})
    for case, said in zip(cases, in_node(tmp_path, cases), strict=True):
        assert said["result"] == "bad", (case, said)
        assert verdict(Path(case["path"]), held.vkey)[0] == aims_verify.BAD, case


def test_the_browser_asks_for_the_witnesses_of_a_policy_as_python_does(held: Held, tmp_path: Path) -> None:
    cosigner, other = _Cosigner("witness.example"), _Cosigner("other.example")
    bare = zipped(held.folder, held.aside / "bare.zip")
    change(held.folder, "checkpoint-g1.txt", lambda lines: [*lines, cosigner.line("\n".join(lines[:3]) + "\n")])
    reclaim(held.folder)
    cosigned = zipped(held.folder, held.aside / "cosigned.zip")
    change(held.folder, "checkpoint-g1.txt", lambda lines: [*lines[:-1], cosigner.line("something else\n")])
    reclaim(held.folder)
    forged = zipped(held.folder, held.aside / "forged.zip")
    log = f"log {held.vkey}\n"
    one = f"witness w1 {cosigner.vkey} https://w.example/\n"
    two = f"{one}witness w2\t{other.vkey}\n"
    policies = [
        "", "# nothing\n\n", f"{log}quorum none\n", f"{log}{one}quorum w1\n", f"{one}quorum w1\n",
        f"{log}{two}group g any w1 w2\nquorum g\n", f"{log}{two}group g all w1 w2\nquorum g\n",
        f"{log}{two}group g 2 w1 w2\nquorum g", f"{two}group g 1 w1\ngroup h all g w2\nquorum h\n",
        f"{log}{two}group g 3 w1 w2\nquorum g\n", f"{log}{one}group g 0 w1\nquorum g\n", f"{log}{one}quorum w9\n",
        f"{log}group g 1 h\ngroup h 1 g\nquorum g\n", "what is this", f"{log}{one}quorum\n", f"log {held.vkey[:-2]}\n",
        f"log {cosigner.vkey}\n", f"witness w1 {held.vkey}\nquorum w1\n",
    ]  # fmt: skip
    cases = [
        {"path": str(path), "vkeys": vkeys, "policy": policy}
        for path in (bare, cosigned, forged)
        for policy in policies
        for vkeys in (held.vkey, "")
    ]
    seen = set()
    for case, said in zip(cases, in_node(tmp_path, cases), strict=True):
        code, why = verdict(Path(case["path"]), *case["vkeys"].split(), policy=case["policy"])
        assert said["result"] == RESULTS[code], (case, said, why)
        seen.add((Path(case["path"]).stem, said["result"]))
    assert {("bare", "good"), ("bare", "bad"), ("cosigned", "good"), ("cosigned", "own-key"), ("forged", "bad")} <= seen


def test_a_line_with_two_spellings_is_canonical_to_neither(held: Held, tmp_path: Path) -> None:
    lines = [
        '{"a":1.5}', '{"a":1.0}', '{"a":"\\ud800"}', '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a": 1}', '{"a":-0}', '{"a":1e3}',
        '{"a":"\\u0041"}', '{"a":NaN}', '{"a":"\\/"}',
    ]  # fmt: skip
    cases = []
    for number, text in enumerate(lines):
        leaf = "24 " + hashlib.sha256(b"\0" + text.encode()).hexdigest()

        def bend(folder: Path, text: str = text, leaf: str = leaf) -> None:
            change(folder, "entries.jsonl", lambda found: [*found[:19], text, *found[20:]])
            change(folder, "entries.leaves", lambda found: [*found[:19], leaf, *found[20:]])

        cases.append({"path": str(forged(held, f"line-{number}", bend=bend)), "vkeys": held.vkey})
    for case, said in zip(cases, in_node(tmp_path, cases), strict=True):
        told = "entries.jsonl line 20: not canonical JSON"
        assert said["why"] == told and verdict(Path(case["path"]), held.vkey)[1] == f"NOT verified: {told}", (
            case,
            said,
        )
