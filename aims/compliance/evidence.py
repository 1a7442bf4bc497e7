"""What was measured, in one shape. Pure.

No evidence claims more than was measured: where nothing was looked at, or nothing could have happened, it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """How a piece of evidence stands, the best first."""

    GOOD = "good"
    UNKNOWN = "unknown"
    STALE = "stale"
    GAP = "gap"


_ORDER = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One measurement. count: of what ``why`` names. newest_at, oldest_at: of what was counted, None where it has no time.

    why: a sentence that says what was measured and, where it is not good, what is missing. href: where it can be seen
    or mended, empty where nowhere.
    """

    name: str
    count: int
    newest_at: datetime | None
    oldest_at: datetime | None
    state: State
    why: str
    href: str


def worst(states: Iterable[State]) -> State:
    """Return the state that a row of several has: one gap makes a gap; nothing at all is unknown."""
    return max(states, key=_ORDER.__getitem__, default=State.UNKNOWN)


def rank(state: State) -> int:
    """Return how bad a state is, 0 for the best."""
    return _ORDER[state]
