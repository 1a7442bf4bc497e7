"""The registry of measurements: a case is named, has a bar from the design, and answers with a ratio or with readings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """bar: the ratio to reach. measure: returns (ours, baseline) in calls a second."""

    name: str
    baseline: str
    bar: float
    measure: Callable[[], tuple[float, float]]
    profiled: Callable[[], Callable[[], None]] | None = None  # makes the call to profile


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One figure. bar: what it must not pass (is_floor: must not stay below), None where the design has none."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    is_floor: bool = False

    @property
    def is_missed(self) -> bool:
        """Return whether it misses its bar."""
        return self.bar is not None and (self.value < self.bar if self.is_floor else self.value > self.bar)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Something that is no ratio. measure: returns what was read."""

    name: str
    measure: Callable[[], Sequence[Reading]]


_cases: list[Case] = []
_figures: list[Figure] = []


def case(each: Case) -> None:
    """Add a case to what ``run.py`` prints."""
    _cases.append(each)


def cases_named(words: Sequence[str]) -> list[Case]:
    """Return the cases whose name holds one of these words (all without words), in the order of their modules."""
    return [each for each in _cases if _is_wanted(each.name, words)]


def figure(each: Figure) -> None:
    """Add a figure to what ``run.py`` prints."""
    _figures.append(each)


def figures_named(words: Sequence[str]) -> list[Figure]:
    """Return the figures whose name holds one of these words, all without words."""
    return [each for each in _figures if _is_wanted(each.name, words)]


def waits(seconds: Sequence[float], **bars_ms: float) -> list[Reading]:
    """Return the percentiles of waits. bars_ms: ``p50=10, p99=50``."""
    ordered = sorted(1000 * wait for wait in seconds)
    return [
        Reading(what=f"{name} of {len(ordered)}", value=_percentile(ordered, int(name[1:])), unit="ms", bar=bar)
        for name, bar in bars_ms.items()
    ]


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _is_wanted(name: str, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in name.lower() for word in words)
