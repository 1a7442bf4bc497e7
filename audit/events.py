"""What this room itself records about its readers, its witnesses and its checks."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class LogViewed(Event, type="audit.log.viewed", title="Audit log read", tone="plain"):
    """A person read the log, or a machine; one that acts for a person names them as subject.

    page: list, entry, timeline, proof, bundle, integrity, certificate or command. at: index, first and last index, or
    txn. query: the names of the filters used.
    """

    page: str
    at: str | None
    query: list[str]


@dataclass(frozen=True, kw_only=True)
class CheckFailed(Event, type="audit.verification.failed", title="The log does not verify", tone="no"):
    """A check found something changed. kind: of check. place: as verdicts name it. index: of the entry, if it is one."""

    kind: str
    place: str
    index: int | None


@dataclass(frozen=True, kw_only=True)
class CheckPassed(Event, type="audit.verification.passed", title="The log verified", tone="yes"):
    """A check found nothing changed; recorded at most once a day of each kind. entries: that it covered."""

    kind: str
    entries: int


@dataclass(frozen=True, kw_only=True)
class CheckAsked(Event, type="audit.verification.asked", title="Check of the log asked for", tone="plain"):
    """A person asked for a check of the log now."""

    kind: str


@dataclass(frozen=True, kw_only=True)
class TimestampRefused(Event, type="audit.timestamp.refused", title="Time stamp refused", tone="no"):
    """A time stamping authority answered with a token that does not verify. size: of the checkpoint it was asked for."""

    reason: str
    size: int


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
