"""The states of a client registration and the lawful moves between them. Pure."""

from __future__ import annotations

from enum import StrEnum


class RegistrationState(StrEnum):
    """quarantined: known, and may do nothing. admitted: an agent. The others are ends, but for a change of mind."""

    QUARANTINED = "quarantined"
    ADMITTED = "admitted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


S = RegistrationState
# An admitted client that changes what was admitted waits again; a refused or forgotten one may still be admitted, and a
# metadata document that is shown again after it was forgotten waits anew. What its client withdrew is over.
LAWFUL: dict[RegistrationState, frozenset[RegistrationState]] = {
    S.QUARANTINED: frozenset({S.ADMITTED, S.REFUSED, S.WITHDRAWN, S.EXPIRED}),
    S.ADMITTED: frozenset({S.QUARANTINED, S.WITHDRAWN}),
    S.REFUSED: frozenset({S.ADMITTED, S.WITHDRAWN}),
    S.EXPIRED: frozenset({S.QUARANTINED, S.WITHDRAWN}),
    S.WITHDRAWN: frozenset(),
}


def sources_of(to: RegistrationState) -> frozenset[RegistrationState]:
    """Return the states from which a registration may move to ``to``."""
    return frozenset(state for state, exits in LAWFUL.items() if to in exits)
