"""CSV that a spreadsheet opens without running any of it. Spec: RFC 4180."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from audit.canonical import encode
from audit.exports.entries import Item

MEMBERS = (
    "id", "type", "occurred_at", "recorded_at", "by", "agent", "subject", "resource", "action", "decision", "txn",
    "posture", "remediation",
)  # fmt: skip
COLUMNS = ("index", "leaf_hash", *MEMBERS, "data")
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # of what a spreadsheet takes for a formula


class Csv:
    """One line an entry, the event's own members as JSON in the last column."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)  # lines end in CRLF (RFC 4180 §2.1)
        self._writer.writerow(COLUMNS)

    def add(self, item: Item) -> None:
        """Write one entry."""
        entry = item.entry
        told = [safe(entry[name]) for name in MEMBERS]
        self._writer.writerow([item.index, item.leaf, *told, safe(encode(entry["data"]).decode())])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def safe(value: Any) -> str:
    """Return a cell that no spreadsheet runs: what looks like a formula gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_STARTS) else text
