"""Exports as an outsider holds them: a folder of files that a test may bend, and zips made of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from audit import read
from audit.access import EVERYTHING, Scope
from audit.exports import aims_verify, services, store
from audit.exports.models import Export
from audit.exports.services import Wanted
from audit.sequencer import Sequencer

EVERY = Wanted(name="entries", query="", first=0, end=None)


@dataclass(frozen=True)
class Bundles:
    """Make exports and unpack them. vkey: the log's key, as an auditor has pinned it."""

    folder: Path
    sequencer: Sequencer

    @property
    def vkey(self) -> str:
        return read.vkey()

    def make(self, *sets: Wanted, formats: Sequence[str] = ("jsonl",), scope: Scope = EVERYTHING) -> Export:
        """Ask for an export and make it at once, as the worker would."""
        kind = "filter" if any(each.query for each in sets) else "range"
        now = datetime.now(UTC)
        row = services.ask(
            kind=kind, title="Entries", sets=sets or (EVERY,), formats=formats, scope=scope, by="usr_ben", now=now
        )
        self.sequencer.run_once()
        assert services.run_due(now=now) == row.ref
        return Export.objects.get(pk=row.pk)

    def unpacked(self, row: Export, name: str = "bundle") -> Path:
        """Unpack a bundle that is ready into a folder."""
        target = self.folder / name
        with zipfile.ZipFile(store.storage().path(store.name(row.ref))) as archive:
            archive.extractall(target)
        return target


@pytest.fixture
def bundles(sequencer: Sequencer, tmp_path: Path, settings: Settings) -> Bundles:
    settings.EXPORT_DIR = str(tmp_path / "exports")
    sequencer.run_once()
    return Bundles(tmp_path, sequencer)


@dataclass(frozen=True)
class Held:
    """A bundle as an outsider holds it, unpacked; nothing of it is in a database any more."""

    folder: Path
    vkey: str
    aside: Path


_first: list[Held] = []


@pytest.fixture
def held(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """A copy, to be bent, of the entries 5 to 64 of a log of some more; made once for all tests."""
    if not _first:
        bundles, happen = request.getfixturevalue("bundles"), request.getfixturevalue("happen")
        happen(90)
        bundles.sequencer.run_once()
        made = bundles.unpacked(bundles.make(Wanted(name="entries", query="", first=5, end=65)))
        kept = tmp_path_factory.mktemp("held") / "bundle"
        _first.append(Held(shutil.copytree(made, kept), bundles.vkey, kept))
    aside = tmp_path / "aside"
    aside.mkdir()
    return Held(shutil.copytree(_first[0].folder, tmp_path / "held"), _first[0].vkey, aside)


def verdict(path: Path, *vkeys: str, **options: Any) -> tuple[int, str]:
    """Return the exit code and the last line of the stand-alone verifier."""
    code, said = aims_verify.verify(str(path), vkeys=list(vkeys), **options)
    return code, said[-1]


def change(folder: Path, name: str, bend: Callable[[list[str]], list[str]]) -> None:
    """Bend the lines of a file."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in bend(path.read_text().splitlines())), newline="")


def reclaim(folder: Path, bend: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Make the manifest agree with the files again, as somebody who forges a bundle would; bend the rest of it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in sorted(each.name for each in folder.iterdir() if each.name != "manifest.json"):
        raw = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(raw).hexdigest(), "size_bytes": len(raw)}
    bend(manifest)
    path.write_text(json.dumps(manifest))


def zipped(folder: Path, path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Return a zip of the folder's files."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, each.name)
    return path
