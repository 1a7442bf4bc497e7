"""The states of an approval request and the lawful moves between them. Terminal states never change."""

from __future__ import annotations

from enum import StrEnum


class RequestState(StrEnum):
    PENDING = "pending"
    PARTLY_APPROVED = "partly_approved"
    APPROVED = "approved"
    REDEEMED = "redeemed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


OPEN = frozenset({RequestState.PENDING, RequestState.PARTLY_APPROVED})
_SIDE_EXITS = {RequestState.DENIED, RequestState.EXPIRED, RequestState.CANCELLED, RequestState.SUPERSEDED}

LAWFUL: dict[RequestState, frozenset[RequestState]] = {
    RequestState.PENDING: frozenset({RequestState.PARTLY_APPROVED, RequestState.APPROVED} | _SIDE_EXITS),
    RequestState.PARTLY_APPROVED: frozenset({RequestState.APPROVED} | _SIDE_EXITS),
    RequestState.APPROVED: frozenset({RequestState.REDEEMED} | _SIDE_EXITS),
    RequestState.REDEEMED: frozenset(),
    RequestState.DENIED: frozenset(),
    RequestState.EXPIRED: frozenset(),
    RequestState.CANCELLED: frozenset(),
    RequestState.SUPERSEDED: frozenset(),
}
TERMINAL = frozenset(state for state, exits in LAWFUL.items() if not exits)


def sources_of(to: RequestState) -> frozenset[RequestState]:
    """Return the states from which a request may move to ``to``."""
    return frozenset(state for state, exits in LAWFUL.items() if to in exits)
