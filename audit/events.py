"""What this room itself records about its readers."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class LogViewed(Event, type="audit.log.viewed", title="Audit log read", tone="plain"):
    """A person read the log. page: list, entry or timeline. at: index or txn. query: the names of the filters used."""

    page: str
    at: str | None
    query: list[str]
