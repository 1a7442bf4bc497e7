"""What this room itself records about its readers, its witnesses and its checks."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class LogViewed(Event, type="audit.log.viewed", title="Audit log read", tone="plain"):
    """A person read the log, or a machine; one that acts for a person names them as subject.

    page: list, entry, timeline, proof, bundle or command. at: index, first and last index, or txn. query: the names of the
    filters used.
    """

    page: str
    at: str | None
    query: list[str]


@dataclass(frozen=True, kw_only=True)
class WitnessRefused(Event, type="audit.witness.refused", title="Answer of a witness refused", tone="no"):
    """A witness answered what can't be true, or knows more of the log than the database. size: that it was asked for."""

    key_id: str
    reason: str
    size: int


@dataclass(frozen=True, kw_only=True)
class SearchSaved(Event, type="audit.search.saved", title="Kept a search of the log", tone="plain"):
    """A reader kept a search. search: its slug. query_hash: of its canonical text; neither text nor name stands here."""

    search: str
    query_hash: str
    is_shared: bool


@dataclass(frozen=True, kw_only=True)
class SearchDeleted(Event, type="audit.search.deleted", title="Deleted a kept search", tone="plain"):
    """A reader deleted a search that was kept. search: its slug."""

    search: str
    query_hash: str
