"""CEF: one line with fixed and free fields, for receivers that know nothing better. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from audit.exports.mappings.kinds import is_failure

HEADER_ESCAPES = str.maketrans({"\\": r"\\", "|": r"\|", "\n": " ", "\r": " "})
VALUE_ESCAPES = str.maketrans({"\\": r"\\", "=": r"\=", "\n": r"\n", "\r": r"\r"})


def line(*, index: int, leaf: str, entry: dict[str, Any], title: str, version: str) -> str:
    """Return an entry as a CEF line. title: of its type. version: of the product."""
    severity = "5" if is_failure(entry["type"], entry["decision"]) else "1"
    header = ["AIMS", "Console", version, entry["type"], title, severity]
    told = {
        "externalId": entry["id"],
        "rt": str(int(datetime.fromisoformat(entry["occurred_at"]).timestamp() * 1000)),
        "suser": entry["by"],
        "duser": entry["subject"],
        "sourceServiceName": entry["agent"],
        "request": entry["resource"],
        "act": entry["action"],
        "outcome": entry["decision"],
        "reason": entry["data"].get("code") or entry["data"].get("reason"),
        "cn1Label": "index",
        "cn1": str(index),
        "cs1Label": "txn",
        "cs1": entry["txn"],
        "cs2Label": "leafHash",
        "cs2": leaf,
        "cs3Label": "posture",
        "cs3": entry["posture"],
        "cs4Label": "remediation",
        "cs4": entry["remediation"],
    }
    head = "|".join(["CEF:0", *(part.translate(HEADER_ESCAPES) for part in header)])
    fields = [f"{name}={str(value).translate(VALUE_ESCAPES)}" for name, value in told.items() if value is not None]
    return f"{head}|{' '.join(fields)}"
