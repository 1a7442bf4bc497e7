"""The PDF report of an export: what was asked, how complete and how strong it is, counts, and the first entries.

Set by ``audit.typesetting``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from audit.exports.entries import Item, title_of
from audit.exports.mappings.kinds import is_failure
from audit.exports.report.wording import COMPLETENESS, GAPS, HOW, STRENGTH, TRUTH, WORDS
from audit.typesetting import pdf

NAME = "report.pdf"
TEMPLATE = Path(__file__).with_name("report.typ")
LISTED_MAX = 300  # entries printed; the bundle holds all
DISTINCT_MAX = 10_000  # of what is counted, so that memory stays flat
TOP = 15
BARS_MAX = 62
_TONES = {"allow": "yes", "approve": "yes", "deny": "no", "ask": "waiting"}


@dataclass
class Tally:
    """What the report counts while entries stream by."""

    rows: int = 0
    days: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    resources: Counter[str] = field(default_factory=Counter)
    listed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Count one entry."""
        entry, day = item.entry, item.entry["occurred_at"][:10]
        self.rows += 1
        _count(self.days, day)
        if is_failure(entry["type"], entry["decision"]):
            _count(self.refused, day)
        _count(self.decisions, entry["decision"] or "none")
        _count(self.types, entry["type"])
        for counter, value in ((self.agents, entry["agent"]), (self.resources, entry["resource"])):
            if value:
                _count(counter, value)
        if len(self.listed) < LISTED_MAX:
            self.listed.append(_listed(item))


def write(folder: Path, manifest: Mapping[str, Any], tally: Tally, *, at: datetime) -> None:
    """Write the report into the bundle's folder. manifest: as far as it is known before the files are hashed."""
    (folder / NAME).write_bytes(pdf(TEMPLATE, _data(manifest, tally), at=at))


def _data(manifest: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    return {
        "title": manifest["title"],
        "product": manifest["product"],
        "export": manifest["export"],
        "words": WORDS,
        "asked": _asked(manifest),
        "sets": [{"facts": _set_facts(each)} for each in manifest["sets"]],
        "integrity": _integrity(manifest),
        "how": HOW,
        "command": f"python3 -I aims_verify.py {manifest['export']}.zip --vkey log.vkey",
        "truth": TRUTH,
        "days": _by_day(tally),
        "decisions": _bars(tally.decisions, tones=_TONES),
        "types": _bars(tally.types),
        "agents": _bars(tally.agents),
        "resources": _bars(tally.resources),
        "entries": tally.listed,
        "listed": f"{len(tally.listed):,} of {tally.rows:,} entries are printed; the bundle holds all of them.",
    }


def _asked(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"label": "Asked by", "value": manifest["asked_by"], "mono": True},
        {"label": "Asked", "value": manifest["asked_at"]},
        {"label": "Made", "value": manifest["finished_at"]},
        {"label": "Log at that time", "value": f"{manifest['snapshot']:,} entries under a checkpoint"},
    ]
    if manifest["agents"] is not None:
        told = ", ".join(manifest["agents"]) or "none"
        rows.append({"label": "Reader's scope", "value": f"entries of these agents only: {told}", "mono": True})
    return rows


def _set_facts(each: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"label": "Set", "value": each["name"]}]
    if each["query"]:
        rows.append({"label": "Search", "value": each["query"], "mono": True})
    rows += [
        {"label": "Range", "value": f"entries {each['first']:,} to {each['end'] - 1:,}"},
        {"label": "Entries", "value": f"{each['rows']:,}"},
        {"label": "Completeness", "value": COMPLETENESS[each["completeness"]]},
    ]
    if each["gaps"]:
        told = ", ".join(f"{gap['first']} to {gap['end'] - 1}" for gap in each["gaps"])
        rows.append({"label": "Not proven", "value": GAPS.format(told)})
    return rows


def _integrity(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    strength = manifest["strength"]
    rows: list[dict[str, Any]] = [
        {"label": "Strength of the log", "value": f"{strength}: {STRENGTH.get(strength, '')}"}
    ]
    seen = {part["checkpoint"]: part for each in manifest["sets"] for part in each["parts"]}
    for part in seen.values():
        rows += [
            {"label": "Signed by", "value": part["origin"], "mono": True},
            {"label": "Over", "value": f"{part['tree_size']:,} entries"},
            {"label": "Root", "value": part["root"], "mono": True},
            {"label": "Verifier key", "value": part["vkey"], "mono": True},
        ]
    return rows


def _by_day(tally: Tally) -> list[dict[str, Any]]:
    """Return bars by day; by month where there would be too many."""
    width = 10 if len(tally.days) <= BARS_MAX else 7
    sums: Counter[str] = Counter()
    for day, count in tally.days.items():
        sums[day[:width]] += count
    return [{"label": day, "n": count, "tone": "plain"} for day, count in sorted(sums.items())[-BARS_MAX:]]


def _bars(counter: Counter[str], tones: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    return [{"label": name, "n": n, "tone": (tones or {}).get(name, "plain")} for name, n in counter.most_common(TOP)]


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < DISTINCT_MAX else "others"] += 1


def _listed(item: Item) -> dict[str, Any]:
    entry = item.entry
    who: Sequence[str | None] = (entry["agent"], entry["subject"], entry["by"])
    moment = entry["occurred_at"][:19].replace("T", " ")
    names = " ".join(dict.fromkeys(name for name in who if name))
    return {
        "index": item.index,
        "at": moment,
        "title": title_of(entry["type"]),
        "who": names,
        "decision": entry["decision"] if entry["decision"] not in (None, "not_applicable") else "",
    }
