"""What is recorded about scheduled reports: references, hashes, numbers; never their names or what is searched for."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class ScheduleSet(Event, type="audit.schedule.set", title="Report of the log scheduled", tone="info"):
    """Entries will be taken out again and again. query_hash: null where every entry is. tells: who is told by mail."""

    schedule: str
    every: str
    weekday: int | None
    zone: str
    query_hash: str | None
    formats: list[str]
    tells: list[str]


@dataclass(frozen=True, kw_only=True)
class ScheduleChanged(Event, type="audit.schedule.changed", title="Scheduled report changed", tone="plain"):
    """Its owner changed it. changed: which members; the others are as it is now."""

    schedule: str
    changed: list[str]
    every: str
    weekday: int | None
    zone: str
    query_hash: str | None
    formats: list[str]
    tells: list[str]


@dataclass(frozen=True, kw_only=True)
class SchedulePaused(Event, type="audit.schedule.paused", title="Scheduled report paused", tone="waiting"):
    """Nothing is taken until it is resumed."""

    schedule: str


@dataclass(frozen=True, kw_only=True)
class ScheduleResumed(Event, type="audit.schedule.resumed", title="Scheduled report resumed", tone="yes"):
    """It goes on with the period that runs."""

    schedule: str


@dataclass(frozen=True, kw_only=True)
class ScheduleRemoved(Event, type="audit.schedule.removed", title="Scheduled report removed", tone="no"):
    """Nothing is taken any more. What was taken stays as long as it would have. reason: ``asked`` or ``erasure``."""

    schedule: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScheduleRan(Event, type="audit.schedule.ran", title="Scheduled report begun", tone="info"):
    """An export of a period was asked for in its owner's name. missed: how many periods before it nobody reported.

    export: null where nothing was recorded in the period. since, until: milliseconds since 1970.
    """

    schedule: str
    export: str | None
    since_ms: int
    until_ms: int
    missed: int


@dataclass(frozen=True, kw_only=True)
class ScheduleFailed(Event, type="audit.schedule.failed", title="Scheduled report failed", tone="no"):
    """There is no report of this period. code: why; that of the export where one was begun."""

    schedule: str
    export: str | None
    code: str
    since_ms: int
    until_ms: int


@dataclass(frozen=True, kw_only=True)
class ScheduleStopped(Event, type="audit.schedule.stopped", title="Scheduled report stopped", tone="no"):
    """It can't go on. reason: ``right_lost`` where its owner may not read the log any more, ``zone_unknown``."""

    schedule: str
    reason: str
