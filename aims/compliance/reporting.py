"""The compliance report: each requirement, what evidence there is, how fresh, and where the gap is.

``report()`` measures now, for one reader; ``kept_report()`` takes what the hourly sweep measured for the whole house.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aims.compliance.asked import PERIOD_DEFAULT, Asked, Period
from aims.compliance.controls import Control, ControlSet, control_sets
from aims.compliance.evidence import Evidence, State, worst
from aims.compliance.measures.table import MEASURES, measured
from aims.compliance.models import Measurement
from audit import read
from audit.read import Scope

KEPT_FROM = 100_000  # entries; a shorter log is measured whenever somebody asks


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One requirement and what was found for it."""

    control: Control
    evidence: tuple[Evidence, ...]

    @property
    def state(self) -> State:
        """The worst of its evidence; unknown where nothing here is evidence for it."""
        return worst(each.state for each in self.evidence)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One set of requirements with the answers."""

    set: ControlSet
    answers: tuple[Answer, ...]

    def count(self, state: State) -> int:
        """Return how many requirements stand like this."""
        return sum(answer.state == state for answer in self.answers)

    @property
    def counts(self) -> dict[str, int]:
        """How many requirements stand in each state, for pages and data."""
        return {str(state): self.count(state) for state in State}


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that was measured, when, over which period. is_whole: no scope cut it."""

    period: Period
    measured_at: datetime
    is_whole: bool
    sections: tuple[Section, ...]


def report(period: Period, *, scope: Scope, now: datetime) -> Report:
    """Measure everything now, for a reader with this part of the log."""
    evidence = measure_all(Asked(period=period, scope=scope, now=now))
    return report_of(evidence, period=period, is_whole=scope.is_whole, measured_at=now)


def kept_report(*, scope: Scope, now: datetime) -> Report:
    """Return what the sweep measured last, over PERIOD_DEFAULT; measured now where the log is short or a scope cuts it."""
    is_long = read.size() >= KEPT_FROM
    kept = Measurement.objects.filter(pk=1).first() if scope.is_whole and is_long else None
    if kept is None:
        return report(Period.last(PERIOD_DEFAULT, now=now), scope=scope, now=now)
    evidence = {name: evidence_from(row) for name, row in kept.evidence.items() if name in MEASURES}
    missing = MEASURES.keys() - evidence.keys()
    period = Period(since_at=kept.since_at, until_at=kept.until_at)
    if missing:  # a version with other measures wrote it
        return report(period, scope=scope, now=now)
    return report_of(evidence, period=period, is_whole=True, measured_at=kept.measured_at)


def measure_all(asked: Asked) -> dict[str, Evidence]:
    """Return every measurement by its name."""
    return {name: measured(name, asked) for name in MEASURES}


def report_of(evidence: Mapping[str, Evidence], *, period: Period, is_whole: bool, measured_at: datetime) -> Report:
    """Put evidence beside what asks for it."""
    sections = tuple(
        Section(set=each, answers=tuple(_answer(control, evidence) for control in each.controls))
        for each in control_sets()
    )
    return Report(period=period, measured_at=measured_at, is_whole=is_whole, sections=sections)


def evidence_from(row: Mapping[str, object]) -> Evidence:
    """Return evidence as the sweep kept it."""
    moments = {name: _moment(row[name]) for name in ("newest_at", "oldest_at")}
    return Evidence(
        name=str(row["name"]),
        count=int(str(row["count"])),
        state=State(str(row["state"])),
        why=str(row["why"]),
        href=str(row["href"]),
        **moments,
    )


def evidence_row(evidence: Evidence) -> dict[str, object]:
    """Return evidence as JSON can hold it."""
    moments = {name: getattr(evidence, name) for name in ("newest_at", "oldest_at")}
    spelt = {name: moment.isoformat() if moment else None for name, moment in moments.items()}
    return {**vars(evidence), "state": str(evidence.state), **spelt}


def all_evidence(sections: Iterable[Section]) -> dict[str, Evidence]:
    """Return each measurement of a report once, by its name."""
    return {each.name: each for section in sections for answer in section.answers for each in answer.evidence}


def _answer(control: Control, evidence: Mapping[str, Evidence]) -> Answer:
    return Answer(control=control, evidence=tuple(evidence[name] for name in control.measures))


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
