"""The bundle: entries, leaves, proofs, checkpoints, renderings and what the manifest says of them, in one zip.

Everything streams through files in a folder of the job's own: no list of entries is ever in memory. Specification for
outsiders: docs/formats.md, "Exports".
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from audit import read
from audit.canonical import encode
from audit.exports import report, spans
from audit.exports.entries import Item
from audit.exports.errors import NothingSigned
from audit.exports.renderings import FORMATS, Rendering
from audit.exports.spans import Gap, Span
from audit.write import stamp

HERE = Path(__file__).parent
TYP = "aims-audit-export"
REPORT = "pdf"  # over all sets; the other formats are files of each
BEAT_EVERY = 2_000  # entries between two signs of life
_CHUNK_BYTES = 1 << 20

Beat = Callable[[int], None]  # called with the percentage that is done


@dataclass(frozen=True, kw_only=True)
class Part:
    """One set of entries. name: of its files. query: as it was asked, empty for every entry of [first, end).

    is_whole: whether ``items`` are all entries of [first, end), so that it can be proven. chosen: how they were chosen
    for a pack, empty for others.
    """

    name: str
    query: str
    first: int
    end: int
    is_whole: bool
    items: Callable[[], Iterator[Item]]
    chosen: str = ""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a bundle is made of. snapshot: the log's signed size when the job began.

    agents: whose entries the one who asked may read; None for all. about: what a pack is about. companions: writes what lies
    beside the entries, given the folder and the manifest so far.
    """

    ref: str
    title: str
    asked_by: str
    asked_at: datetime
    formats: Sequence[str]
    snapshot: int
    agents: Sequence[str] | None
    product: str
    sets: Sequence[Part]
    about: Mapping[str, str] | None = None
    companions: Callable[[Path, Mapping[str, Any]], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished bundle, hashes in hexadecimal."""

    path: Path
    rows: int
    size_bytes: int
    bundle_hash: str
    manifest_hash: str
    manifest: dict[str, Any]


def make(order: Order, folder: Path, *, clock: Callable[[], datetime], beat: Beat) -> Made:
    """Make the bundle in an empty folder. Raises: NothingSigned, and whatever ``beat`` raises to stop it."""
    sets, notes, tally = [], {}, report.Tally() if REPORT in order.formats else None
    for number, part in enumerate(order.sets):
        done = _Set(part, folder, order.formats, _share(beat, number, len(order.sets)), order.snapshot, tally)
        sets.append(done.write())
        notes.update({span.checkpoint: span.note for span in done.spans})
    if not notes:
        raise NothingSigned("no checkpoint covers anything that was asked for")
    for name, note in notes.items():
        (folder / name).write_text(note, newline="")
    for name in ("aims_verify.py", "HOWTO.txt"):
        (folder / name).write_bytes((HERE / name).read_bytes())
    manifest = _manifest(order, sets, clock())
    if tally:
        report.write(folder, manifest, tally, at=clock())
    if order.companions:
        order.companions(folder, manifest)
    manifest["files"] = {path.name: _claim(path) for path in sorted(folder.iterdir())}
    written = encode(manifest)
    (folder / "manifest.json").write_bytes(written)
    path = _zipped(folder, order.ref, clock())
    beat(100)
    return Made(
        path=path,
        rows=sum(each["rows"] for each in sets),
        size_bytes=path.stat().st_size,
        bundle_hash=sha256(path),
        manifest_hash=hashlib.sha256(written).hexdigest(),
        manifest=manifest,
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Set:
    """One set while it is written."""

    part: Part
    folder: Path
    formats: Sequence[str]
    beat: Beat
    snapshot: int
    tally: report.Tally | None
    spans: list[Span] = field(init=False)
    gaps: list[Gap] = field(init=False)

    def write(self) -> dict[str, Any]:
        """Write the files of the set; return what the manifest says of it."""
        part = self.part
        self.spans, self.gaps = spans.over(part.first, part.end, snapshot=self.snapshot)
        counts, ends = self._entries()
        parts = [self._prove(span, count) for span, count in zip(self.spans, counts, strict=True)]
        return {
            "name": part.name,
            "query": part.query or None,
            "chosen": part.chosen or None,
            "first": part.first,
            "end": part.end,
            "completeness": "proven" if part.is_whole else "not_proven",
            "rows": sum(counts),
            "first_index": ends[0] if ends else None,
            "last_index": ends[1] if ends else None,
            "data": f"{part.name}.jsonl",
            "leaves": f"{part.name}.leaves",
            "renderings": [part.name + FORMATS[name].suffix for name in self.formats if name in FORMATS],
            "parts": parts,
            "gaps": [{"first": gap.first, "end": gap.end, "reason": gap.reason} for gap in self.gaps],
        }

    def _entries(self) -> tuple[list[int], tuple[int, int] | None]:
        """Write each entry that a span covers to every file; return how many each span has, and the first and last."""
        counts, at = [0] * len(self.spans), 0
        first = last = -1
        with ExitStack() as stack:
            data = stack.enter_context(self._file(".jsonl").open("wb"))
            leaves = stack.enter_context(self._file(".leaves").open("w", newline=""))
            renderings = [self._rendering(name, stack) for name in self.formats if name in FORMATS]
            for item in self.part.items():
                while at < len(self.spans) and item.index >= self.spans[at].end:
                    at += 1
                if at == len(self.spans) or item.index < self.spans[at].first:
                    continue  # in a gap: it can't be proven, and the manifest says so
                data.write(item.canon + b"\n")
                leaves.write(f"{item.index} {item.leaf}\n")
                for rendering in renderings:
                    rendering.add(item)
                if self.tally:
                    self.tally.add(item)
                counts[at] += 1
                first, last = (item.index if first < 0 else first), item.index
                if sum(counts) % BEAT_EVERY == 0:
                    self.beat(self._percent(item.index))
        return counts, (first, last) if first >= 0 else None

    def _rendering(self, name: str, stack: ExitStack) -> Rendering:
        rendering = FORMATS[name].begin(self._file(FORMATS[name].suffix))
        stack.callback(rendering.close)
        return rendering

    def _prove(self, span: Span, rows: int) -> dict[str, Any]:
        """Write the proof of one span, check it, and return what the manifest says of the span."""
        proof = f"{self.part.name}-g{span.generation}.proof"
        with (self.folder / proof).open("w", newline="") as file:
            for hashed in span.proof(index for index, _ in self._leaves(span)):
                file.write(hashed.hex() + "\n")
        with (self.folder / proof).open() as file:
            spans.check(self._leaves(span), (bytes.fromhex(line) for line in file), span)
        return {
            "generation": span.generation,
            "origin": span.origin,
            "vkey": span.vkey,
            "base": span.base,
            "first": span.first,
            "end": span.end,
            "rows": rows,
            "tree_size": span.size,
            "root": span.root,
            "checkpoint": span.checkpoint,
            "proof": proof,
        }

    def _leaves(self, span: Span) -> Iterator[tuple[int, bytes]]:
        with self._file(".leaves").open() as file:
            for line in file:
                index, _, leaf = line.partition(" ")
                if span.first <= int(index) < span.end:
                    yield int(index), bytes.fromhex(leaf)

    def _percent(self, index: int) -> int:
        return 90 * (index - self.part.first) // max(1, self.part.end - self.part.first)

    def _file(self, suffix: str) -> Path:
        return self.folder / (self.part.name + suffix)


def _share(beat: Beat, number: int, count: int) -> Beat:
    return lambda percent: beat((90 * number + percent) // count)


def _manifest(order: Order, sets: Sequence[dict[str, Any]], finished_at: datetime) -> dict[str, Any]:
    return {
        "typ": TYP,
        "v": 1,
        "export": order.ref,
        "title": order.title,
        "product": order.product,
        "about": None if order.about is None else dict(order.about),
        "asked_by": order.asked_by,
        "asked_at": stamp(order.asked_at),
        "finished_at": stamp(finished_at),
        "snapshot": order.snapshot,
        "strength": read.strength(),
        "formats": list(order.formats),
        "agents": None if order.agents is None else list(order.agents),
        "sets": list(sets),
    }


def _claim(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "size_bytes": path.stat().st_size}


def _zipped(folder: Path, ref: str, at: datetime) -> Path:
    """Return the zip of everything in the folder, the manifest first."""
    names = sorted((path.name for path in folder.iterdir()), key=lambda name: (name != "manifest.json", name))
    path = folder / f"{ref}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, at.timetuple()[:6])
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with (folder / name).open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                _copied(source, target)
    return path


def _copied(source: Any, target: Any) -> None:
    chunks: Iterable[bytes] = iter(lambda: source.read(_CHUNK_BYTES), b"")
    for chunk in chunks:
        target.write(chunk)
