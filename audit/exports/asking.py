"""From what was asked to what is taken: queries, formats, the product's own name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from audit.access import EVERYTHING, Scope
from audit.exports import entries
from audit.exports.bundle import REPORT, Part
from audit.exports.entries import Item
from audit.exports.errors import FormatMissing
from audit.exports.renderings import FORMATS
from audit.search.language import parse

ALWAYS = "jsonl"  # the evidence is in every bundle


def must_be_known(formats: Sequence[str]) -> None:
    """Raise FormatMissing for a format that is not known, or whose library is not installed."""
    for name in formats:
        if name in (ALWAYS, REPORT):
            continue
        if name not in FORMATS:
            raise FormatMissing(f"there is no format {name[:20]!r}")
        if not FORMATS[name].is_there():
            raise FormatMissing(f"{name} needs a library that is not installed: the extra 'export' (pyarrow)")


def part(
    wanted: Mapping[str, Any], *, snapshot: int, scope: Scope, now: datetime, chosen: Mapping[str, Sequence[int]]
) -> Part:
    """Return the entries that one set asks for, below the snapshot. now: to which ``7d`` in a query relates.

    chosen: indexes by the name under which they were chosen, all below the snapshot and within the scope.
    """
    if name := wanted.get("chosen"):
        return _chosen(wanted["name"], name, chosen.get(name, ()))
    end = max(wanted["first"], snapshot if wanted["end"] is None else wanted["end"])
    first, end = entries.period(wanted["first"], end, scope)

    def items() -> Iterator[Item]:
        if wanted["query"]:
            return entries.matching(wanted["query"], first, min(end, snapshot), scope=scope, now=now)
        return entries.in_range(first, min(end, snapshot), scope=scope)

    is_whole = not wanted["query"] and scope.agents is None
    return Part(name=wanted["name"], query=wanted["query"], first=first, end=end, is_whole=is_whole, items=items)


def _chosen(name: str, how: str, indexes: Sequence[int]) -> Part:
    first, end = (indexes[0], indexes[-1] + 1) if indexes else (0, 0)
    return Part(
        name=name, query="", first=first, end=end, is_whole=False, items=lambda: entries.listed(indexes), chosen=how
    )


def kept_scope(scope: Scope) -> dict[str, Any] | None:
    """Return a scope as the row keeps it; None for everything."""
    if scope.is_whole:
        return None
    moments = {name: moment and moment.isoformat() for name, moment in _moments(scope)}
    return {"agents": None if scope.agents is None else sorted(scope.agents), **moments}


def scope_kept(kept: Mapping[str, Any] | None) -> Scope:
    """Return the scope that a row keeps."""
    if kept is None:
        return EVERYTHING
    agents = None if kept["agents"] is None else frozenset(kept["agents"])
    since_at, until_at = (kept[name] and datetime.fromisoformat(kept[name]) for name in ("since_at", "until_at"))
    return Scope(agents=agents, since_at=since_at, until_at=until_at)


def _moments(scope: Scope) -> list[tuple[str, datetime | None]]:
    return [("since_at", scope.since_at), ("until_at", scope.until_at)]


def must_parse(query: str, now: datetime) -> None:
    """Raise QueryError for a text that is no query."""
    parse(query, now)
