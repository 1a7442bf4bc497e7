"""What is recorded about what leaves the log: references, numbers and hashes; never what was asked for in words."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class ExportAsked(Event, type="audit.export.asked", title="Export of the log asked for", tone="plain"):
    """Somebody asked for entries to take away. query_hashes: SHA-256 of each question, or null where there is none.

    about_kind, about: of an evidence pack, what it is about.
    """

    export: str
    kind: str
    formats: list[str]
    query_hashes: list[str | None]
    first: int
    end: int | None
    about_kind: str | None = None
    about: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExportFinished(Event, type="audit.export.finished", title="Export of the log finished", tone="info"):
    """The bundle is ready. snapshot: how many entries the log had. manifest_hash: what the bundle says of itself."""

    export: str
    rows: int
    snapshot: int
    size_bytes: int
    bundle_hash: str
    manifest_hash: str


@dataclass(frozen=True, kw_only=True)
class ExportFailed(Event, type="audit.export.failed", title="Export of the log failed", tone="no"):
    """No bundle could be made. code: why."""

    export: str
    code: str


@dataclass(frozen=True, kw_only=True)
class ExportCancelled(Event, type="audit.export.cancelled", title="Export of the log cancelled", tone="plain"):
    """Somebody stopped an export that waited or ran."""

    export: str


@dataclass(frozen=True, kw_only=True)
class ExportDownloaded(Event, type="audit.export.downloaded", title="Export of the log downloaded", tone="info"):
    """Somebody took the bundle."""

    export: str
    bundle_hash: str


@dataclass(frozen=True, kw_only=True)
class ExportDeleted(Event, type="audit.export.deleted", title="Export of the log deleted", tone="plain"):
    """The bundle is gone. reason: ``expired`` or ``asked``."""

    export: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StoryTaken(Event, type="audit.story.taken", title="Story taken from the log as a PDF", tone="info"):
    """Somebody took a story away on paper. kind, of: what it tells of. pdf_hash: SHA-256 of the file."""

    kind: str
    of: str
    entries: int
    first: int
    last: int
    pdf_hash: str
