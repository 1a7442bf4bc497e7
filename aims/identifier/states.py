"""The states of an agent and the lawful moves between them. Retired is for ever."""

from __future__ import annotations

ACTIVE = "active"
SUSPENDED = "suspended"
RETIRED = "retired"

LAWFUL: dict[str, frozenset[str]] = {
    ACTIVE: frozenset({SUSPENDED, RETIRED}),
    SUSPENDED: frozenset({ACTIVE, RETIRED}),
    RETIRED: frozenset(),
}


def sources_of(to: str) -> frozenset[str]:
    """Return the states from which an agent may move to ``to``."""
    return frozenset(state for state, exits in LAWFUL.items() if to in exits)
