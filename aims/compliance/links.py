"""Where evidence can be seen: addresses of the log, filtered to exactly what was counted."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlencode

from aims.compliance.asked import Period


def log_href(types: Collection[str], period: Period, *, decisions: Collection[str] = ()) -> str:
    """Return the log with the entries of some types and decisions in a period."""
    terms = [_any_of("type", types), _any_of("decision", decisions)]
    terms.append(f"after:{period.since_at.date().isoformat()}")
    return "/audit/?" + urlencode({"q": " ".join(term for term in terms if term)})


def _any_of(field: str, values: Collection[str]) -> str:
    named = sorted(values)
    if not named:
        return ""
    return f"{field}:{named[0]}" if len(named) == 1 else f"{field}:({' '.join(named)})"
