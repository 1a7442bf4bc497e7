"""The states of a consent and its lawful moves. Pure."""

from __future__ import annotations

from enum import StrEnum


class ConsentState(StrEnum):
    """Where a consent stands. Only ``asked`` and ``confirmed`` are open."""

    ASKED = "asked"
    CONFIRMED = "confirmed"
    USED = "used"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


OPEN = frozenset({ConsentState.ASKED, ConsentState.CONFIRMED})
# to -> from. A confirmed one can still be stopped: nothing has happened before it is used.
MOVES: dict[ConsentState, frozenset[ConsentState]] = {
    ConsentState.CONFIRMED: frozenset({ConsentState.ASKED}),
    ConsentState.USED: frozenset({ConsentState.CONFIRMED}),
    ConsentState.DENIED: OPEN,
    ConsentState.WITHDRAWN: OPEN,
    ConsentState.EXPIRED: OPEN,
}
