"""The registry of measurements: a case is named, has a bar from the design, and answers with a ratio."""

from __future__ import annotations

from collections.abc import Callable
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
class Figure:
    """A wait instead of a ratio. measure: returns waits in seconds. bar_ms: what their 99th percentile must not pass."""

    name: str
    bar_ms: float
    measure: Callable[[], list[float]]


_cases: list[Case] = []
_figures: list[Figure] = []


def case(each: Case) -> None:
    """Add a case to what ``run.py`` prints."""
    _cases.append(each)


def all_cases() -> list[Case]:
    """Return every case, in the order of their modules."""
    return list(_cases)


def figure(each: Figure) -> None:
    """Add a wait to what ``run.py`` prints."""
    _figures.append(each)


def all_figures() -> list[Figure]:
    """Return every wait."""
    return list(_figures)
