"""From what was asked to what is taken: queries, formats, the product's own name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.access import EVERYTHING, Scope
from audit.exports import entries
from audit.exports.bundle import Part
from audit.exports.entries import Item
from audit.exports.errors import FormatMissing
from audit.exports.renderings import FORMATS

ALWAYS = "jsonl"  # the evidence is in every bundle


def must_be_known(formats: Sequence[str]) -> None:
    """Raise FormatMissing for a format that is not known, or whose library is not installed."""
    for name in formats:
        if name != ALWAYS and name not in FORMATS:
            raise FormatMissing(f"there is no format {name[:20]!r}")


def part(wanted: Mapping[str, Any], *, snapshot: int, scope: Scope, now: datetime) -> Part:
    """Return the entries that one set asks for, below the snapshot. now: to which ``7d`` in a query relates."""
    end = max(wanted["first"], snapshot if wanted["end"] is None else wanted["end"])
    first, end = entries.period(wanted["first"], end, scope)

    def items() -> Iterator[Item]:
        return entries.in_range(first, min(end, snapshot), scope=scope)

    is_whole = not wanted["query"] and scope.agents is None
    return Part(name=wanted["name"], query=wanted["query"], first=first, end=end, is_whole=is_whole, items=items)


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
    """Raise the search's own error for a query that is none."""


@cache
def product() -> str:
    """Return the product with its version."""
    told = tomllib.loads((Path(settings.BASE_DIR) / "pyproject.toml").read_text())
    return f"AIMS Console {told['project']['version']}"
