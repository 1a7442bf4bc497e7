"""The browser's checker of exports, run outside a browser: it says what the Python one says."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.exports import aims_verify
from tests.support.exports import Held, change, reclaim, verdict, zipped
from tests.support.running import ROOT

pytestmark = pytest.mark.django_db
LIB = ROOT / "static/js/lib"
DRIVER = """
import { openAsBlob } from 'node:fs';
import { webcrypto } from 'node:crypto';
globalThis.crypto ??= webcrypto;
const { checkBundle } = await import('./bundle.mjs');
const answers = [];
for (const { path, vkeys } of JSON.parse(process.argv[2])) {
  answers.push(await checkBundle({ file: await openAsBlob(path), vkeys }));
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


def in_node(tmp_path: Path, cases: list[dict[str, str]]) -> list[dict[str, Any]]:
    for name in ("merkle", "bundle"):
        source = (LIB / f"{name}.js").read_text().replace("'aims/lib/merkle.js'", "'./merkle.mjs'")
        (tmp_path / f"{name}.mjs").write_text(source)
    (tmp_path / "driver.mjs").write_text(DRIVER)
    command = ["node", str(tmp_path / "driver.mjs"), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
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
    if shutil.which("node") is None:
        pytest.skip("no node: the page's own JavaScript can't run outside a browser")
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
