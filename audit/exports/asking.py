"""From what was asked to what is taken: queries, formats, the product's own name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.exports.bundle import Part
from audit.exports.entries import Item, in_range
from audit.exports.errors import FormatMissing
from audit.exports.renderings import FORMATS

ALWAYS = "jsonl"  # the evidence is in every bundle


def must_be_known(formats: Sequence[str]) -> None:
    """Raise FormatMissing for a format that is not known, or whose library is not installed."""
    for name in formats:
        if name != ALWAYS and name not in FORMATS:
            raise FormatMissing(f"there is no format {name[:20]!r}")


def part(wanted: Mapping[str, Any], *, snapshot: int, now: datetime) -> Part:
    """Return the entries that one set asks for, below the snapshot. now: to which ``7d`` in a query relates."""
    end = max(wanted["first"], snapshot if wanted["end"] is None else wanted["end"])

    def items() -> Iterator[Item]:
        return in_range(wanted["first"], min(end, snapshot))

    return Part(name=wanted["name"], query=wanted["query"], first=wanted["first"], end=end, items=items)


def must_parse(query: str, now: datetime) -> None:
    """Raise the search's own error for a query that is none."""


@cache
def product() -> str:
    """Return the product with its version."""
    told = tomllib.loads((Path(settings.BASE_DIR) / "pyproject.toml").read_text())
    return f"AIMS Console {told['project']['version']}"
