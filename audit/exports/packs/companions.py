"""What lies beside the entries of a pack: the story on paper, receipts of approvals, a plain index of it all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.access import Scope
from audit.exports import story
from audit.exports.packs.subject import EVIDENCE, STORY, Found, Subject, find
from audit.exports.story.wording import BY_BUNDLE
from audit.timeline.extras import Mounted, mounted

INDEX = "INDEX.txt"
KEYS = "receipts.jwks.json"
RECEIPTS_MAX = 50
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,60}")  # a reference that may be part of a file's name


@dataclass(frozen=True, kw_only=True)
class Companions:
    """Writes them. reader: the reference of whom they are for, by whose rights cards and receipts are shown."""

    about: Subject
    found: Found
    scope: Scope
    reader: str
    place: Mounted
    by: str
    snapshot: int

    def write(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Write them into the folder of a bundle. manifest: as far as it is known before files are hashed."""
        reader = self.place.extras.reader(self.reader)
        papers = self._stories(folder, str(manifest["export"]), reader)
        receipts = self._receipts(folder, reader)
        (folder / INDEX).write_text("\n".join(self._index(manifest, papers, receipts)) + "\n", newline="")

    def _stories(self, folder: Path, export: str, reader: Any) -> list[str]:
        names = []
        for number, page in enumerate(self.found.pages, 1):
            asked = story.Asked(
                by=self.by,
                at=datetime.now(UTC),
                scope=self.scope,
                reader=reader,
                labels=self.place.labels,
                extras=self.place.extras,
                vouched=BY_BUNDLE,
                occasion=f"evidence pack {export} about {self.about.kind} {self.about.ref}",
                snapshot=self.snapshot,
            )
            name = "story.pdf" if number == 1 else f"story-{number}.pdf"
            (folder / name).write_bytes(story.write(page, asked))
            names.append(name)
        return names

    def _receipts(self, folder: Path, reader: Any) -> list[str]:
        """Write the receipts that this reader may see, and the keys that signed them."""
        extras, wanted = self.place.extras, [ref for ref in self.found.requests if _PLAIN.fullmatch(ref)][:RECEIPTS_MAX]
        found = extras.receipts(wanted, reader)
        for ref, jws in found.items():
            (folder / f"receipt-{ref}.jwt").write_text(jws, newline="")
        if found:
            (folder / KEYS).write_text(extras.keys() + "\n", newline="")
        return list(found)

    def _index(self, manifest: Mapping[str, Any], papers: list[str], receipts: list[str]) -> Iterable[str]:
        yield from _titled(f"EVIDENCE PACK {manifest['export']}", "=")
        yield f"About      {self.about.kind} {self.about.ref}"
        yield f"Asked by   {manifest['asked_by']}, {manifest['asked_at']}"
        yield f"Made       {manifest['finished_at']} by {manifest['product']}"
        yield f"The log    {manifest['snapshot']} entries under a checkpoint; strength {manifest['strength']}"
        yield f"Scope      {_scope(self.scope)}"
        yield ""
        yield from _titled("What is in here", "-")
        for name, page in zip(papers, self.found.pages, strict=True):
            entries = page.gathered.entries
            yield f"{name}: the story on paper, {len(entries)} entries from {entries[0].index} to {entries[-1].index}"
        for each in manifest["sets"]:
            yield f"{each['data']}: {_set(each)}"
        for ref in receipts:
            yield f"receipt-{ref}.jwt: the receipt of approval {ref}{self._where(ref)}"
        if receipts:
            yield f"{KEYS}: the keys that sign receipts, as published; compare them with a copy that you trust"
        yield "manifest.json, *.leaves, *.proof, checkpoint-*.txt: what proves it; HOWTO.txt explains them"
        yield ""
        yield from _titled("What is not", "-")
        yield from self._missing(manifest, receipts)
        yield ""
        yield from _titled("How to check it", "-")
        yield f"python3 -I aims_verify.py {manifest['export']}.zip --vkey log.vkey"
        yield from (
            f"manage.py verify --receipt receipt-{ref}.jwt --jwks {KEYS} (with the issuer's keys from a place you trust)"
            for ref in receipts[:1]
        )
        yield "The PDF, receipts and this index are vouched for by manifest.json, and that by the log's entry"
        yield "audit.export.finished, which holds its SHA-256."

    def _missing(self, manifest: Mapping[str, Any], receipts: list[str]) -> Iterable[str]:
        said = []
        if self.found.is_cut:
            said.append("The story goes on; what comes later is in no page here.")
        if any(page.gathered.is_cut for page in self.found.pages):
            said.append("More transactions or changes that the story leads to than are looked at.")
        if self.found.pages and self.found.pages[0].gathered.earlier is not None:
            is_there = any(each["name"] == "entries" for each in manifest["sets"])
            first = self.found.pages[0].gathered.entries[0].index
            on_paper = f"On paper what came before entry {first}; entries.jsonl holds it."
            said.append(
                on_paper if is_there else f"What came before entry {first}, neither on paper nor among the entries."
            )
        if not self.scope.is_whole:
            said.append("Entries outside the scope above.")
        if hidden := [ref for ref in self.found.requests if ref not in receipts]:
            said.append(f"Receipts of approvals that were not given, or are not for this reader to see: {len(hidden)}.")
        gaps = [gap for each in manifest["sets"] for gap in each["gaps"]]
        said += [f"Entries {gap['first']} to {gap['end'] - 1}: no checkpoint covers them." for gap in gaps]
        return said or ["Nothing that belongs to it was left out."]

    def _where(self, request: str) -> str:
        """Return where the log holds the hash of a receipt."""
        entries = (entry for page in self.found.pages for entry in page.gathered.entries)
        found = next(
            (each for each in entries if each.data.get("request") == request and each.data.get("receipt_hash")), None
        )
        return f"; entry {found.index} holds its hash, {found.data['receipt_hash']}" if found else ""


def companions_of(kept: Mapping[str, Any], *, scope: Scope, by: str, snapshot: int) -> Companions:
    """Return what lies beside the entries of a pack. kept: what its row says it is about. Raises: NoSuchStory."""
    place, about = mounted(), Subject.of(kept)
    found = find(about, scope=scope, extras=place.extras, below=snapshot)
    reader = str(kept.get("reader") or "")
    return Companions(about=about, found=found, scope=scope, reader=reader, place=place, by=by, snapshot=snapshot)


def _titled(text: str, line: str) -> Iterable[str]:
    yield from (text, line * len(text))


def _set(each: Mapping[str, Any]) -> str:
    kinds = {STORY: "the entries of the story", EVIDENCE: "the entries that were named one by one"}
    if each["query"]:
        told = f"the entries that fit {each['query']}; each is proven, that none was left out is not"
    elif each["chosen"]:
        told = kinds[each["chosen"]]
    elif each["completeness"] == "proven":
        told = f"every entry from {each['first']} to {each['end'] - 1}, proven that none was left out"
    else:
        told = f"entries from {each['first']} to {each['end'] - 1} within the scope"
    return f"{each['rows']} lines, exact bytes: {told}"


def _scope(scope: Scope) -> str:
    if scope.is_whole:
        return "the whole log"
    agents = "" if scope.agents is None else f"agents {', '.join(sorted(scope.agents))}; "
    return f"{agents}recorded from {scope.since_at or 'the beginning'} until {scope.until_at or 'now'}"
