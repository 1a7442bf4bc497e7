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


_cases: list[Case] = []


def case(each: Case) -> None:
    """Add a case to what ``run.py`` prints."""
    _cases.append(each)


def all_cases() -> list[Case]:
    """Return every case, in the order of their modules."""
    return list(_cases)
