"""What the log says about its own keeping. References, enums, hashes and numbers, here too."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class HoldPlaced(Event, type="audit.hold.placed", title="Legal hold placed", tone="waiting"):
    """kind: all, person, agent or period. Moments are NumericDates, None where there is no bound."""

    hold: str
    kind: str
    person: str | None
    agent: str | None
    since_at: int | None
    until_at: int | None


@dataclass(frozen=True, kw_only=True)
class HoldReleased(Event, type="audit.hold.released", title="Legal hold released", tone="info"):
    hold: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class RetentionChanged(Event, type="audit.retention.changed", title="Retention of the log changed", tone="info"):
    months_before: int
    months: int


@dataclass(frozen=True, kw_only=True)
class RetentionApplied(Event, type="audit.retention.applied", title="A month of the log went by retention", tone="no"):
    """Entries [first, end) are gone; their hashes stay. The newest of these entries is what ``verify`` holds the
    database to: a log that lacks more than this says was cut by somebody else. policy_months: as it was then.
    """

    month: str
    first: int
    end: int
    policy_months: int


@dataclass(frozen=True, kw_only=True)
class PersonErased(Event, type="audit.person.erased", title="A person's data erased", tone="no"):
    """values: how many were kept for entries [first, end); None where there were none. key_hash: SHA-256 of the id of
    the key that is destroyed next. is_again: the person had come back with a restored backup.
    """

    erasure: str
    person: str
    basis: str
    values: int
    first: int | None
    end: int | None
    key_hash: str | None
    is_again: bool


@dataclass(frozen=True, kw_only=True)
class ErasureFinished(Event, type="audit.erasure.finished", title="A person's key destroyed", tone="no"):
    """late: values that were still being recorded while the person was erased, removed as well."""

    erasure: str
    key_hash: str | None
    late: int


@dataclass(frozen=True, kw_only=True)
class PersonalRevealed(Event, type="audit.personal.revealed", title="A personal value was shown", tone="info"):
    """index: of the entry. reason: an enum."""

    index: int
    field: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PersonalSearched(Event, type="audit.personal.searched", title="Searched by a personal value", tone="info"):
    """field: which kind of value; the value itself is not told. found: how many entries."""

    field: str
    found: int
