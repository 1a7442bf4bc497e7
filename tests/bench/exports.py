"""An export of 100,000 entries: made, checked by the stand-alone file elsewhere, and one flipped character named."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import connection

from audit import checkpoints, read
from audit.access import EVERYTHING
from audit.exports import aims_verify, services, store
from audit.exports.models import Export
from audit.exports.services import Wanted
from audit.sequencer import Sequencer
from tests.bench.cases import Figure, Reading, figure
from tests.bench.verification import payloads_of_entries

ENTRIES = 100_000
LINE = 47_110
_AT_ONCE = 5_000


def _read() -> Sequence[Reading]:
    with tempfile.TemporaryDirectory() as folder:
        settings.EXPORT_DIR = str(Path(folder) / "exports")
        _fill()
        row, made_s = _made()
        alone = Path(folder) / "alone"
        alone.mkdir()
        shutil.copy(aims_verify.__file__, alone)
        shutil.copy(store.storage().path(store.name(row.ref)), alone / "export.zip")
        (alone / "log.vkey").write_text(read.vkey())
        good_s, said = _verified(alone)
        assert "every entry of the range, none left out" in said, said
        _flip(alone)
        _, said = _verified(alone)
        assert f"entries.jsonl line {LINE}: changed" in said, said
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return [
            Reading(what=f"{row.rows} entries made into a bundle", value=made_s, unit="s"),
            Reading(what="its size", value=(row.size_bytes or 0) / 1e6, unit="MB"),
            Reading(what="verified by aims_verify.py in an empty folder", value=good_s, unit="s"),
            Reading(what="memory of the verifier at its peak", value=peak, unit="MiB"),
            Reading(what="the line of a flipped character, named", value=LINE, unit=""),
        ]


def _fill() -> None:
    checkpoints.create_log_key(checkpoints.key_path())
    all_payloads = payloads_of_entries()
    Sequencer().run_once()
    while read.size() < ENTRIES and (payloads := list(islice(all_payloads, _AT_ONCE))):
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO audit_inboxrow (payload) VALUES (%s)", [[payload] for payload in payloads])
        Sequencer().run_once()


def _made() -> tuple[Export, float]:
    first, began = read.size() - ENTRIES, time.perf_counter()
    wanted = Wanted(name="entries", query="", first=max(0, first), end=max(0, first) + ENTRIES)
    now = datetime.now(UTC)
    row = services.ask(
        kind="range", title="Bench", sets=[wanted], formats=["jsonl"], scope=EVERYTHING, by="cli:bench", now=now
    )
    services.run_now(row, now=now)
    row.refresh_from_db()
    assert row.state == "ready", row.failure
    return row, time.perf_counter() - began


def _verified(alone: Path) -> tuple[float, str]:
    command = [sys.executable, "-I", "aims_verify.py", "export.zip", "--vkey", "log.vkey", "--signatures", "auto"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    return time.perf_counter() - began, done.stdout + done.stderr


def _flip(alone: Path) -> None:
    """Change one character of one line in the zip."""
    with zipfile.ZipFile(alone / "export.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    lines = files["entries.jsonl"].split(b"\n")
    lines[LINE - 1] = lines[LINE - 1].replace(b'"jti":"tok_', b'"jti":"tak_', 1)
    files["entries.jsonl"] = b"\n".join(lines)
    with zipfile.ZipFile(alone / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)


figure(Figure(name="export", measure=_read))
