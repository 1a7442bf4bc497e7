"""What the console knows and the log does not: who runs a resource, where pages are, what a card showed. Given by whoever mounts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import resolve, reverse

from audit.access import Scope

Transactions = Callable[[str, str], Sequence[str]]
Labels = Callable[[Collection[str]], Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as a person saw it. pairs: [label, value, second line], headline first. details: hash of each object asked for.

    state: of the request now. href: its page.
    """

    request: str
    headline: str
    pairs: Sequence[Sequence[str]]
    details: Sequence[str]
    state: str
    decided_at: datetime | None
    href: str

    @property
    def is_signed(self) -> bool:
        """Whether somebody said yes to it: of any other card nobody may claim that it was signed."""
        return self.state in ("approved", "redeemed")


@dataclass(frozen=True, kw_only=True)
class Incident:
    """What somebody found in the log. story: kind, reference and the index before which it ends. evidence: indexes."""

    story: tuple[str, str, int | None] | None
    evidence: Sequence[int]


def _nothing(refs: Collection[str]) -> Mapping[str, Any]:
    return {}


def _no_transactions(kind: str, ref: str) -> Sequence[str]:
    return ()


def _itself(kind: str, ref: str) -> str:
    return ref


def _no_card(request: str, reader: Any) -> Card | None:
    return None


def _no_incident(ref: str, scope: Scope) -> Incident | None:
    return None


def _no_receipts(requests: Collection[str], reader: Any) -> Mapping[str, str]:
    return {}


def _nobody(ref: str) -> Any:
    return None


def _no_keys() -> str:
    return '{"keys":[]}'


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Questions that this room can't answer. behind: the agent that runs a resource, by resource. grants: by jti.

    links: addresses of what a reference names. transactions: those of a grant or an approval. known_as: how entries call
    what an address calls by its ref, by kind. card: of an approval request, if this reader may see it. reader: who a reference
    is, as ``card`` judges by; None for nobody. receipts: signed, of those requests that this reader may see, by request.
    keys: that sign receipts, as a JSON Web Key Set. incident: what a finding is about, where it is within a scope.
    """

    behind: Callable[[Collection[str]], Mapping[str, str]] = _nothing
    grants: Callable[[Collection[str]], Mapping[str, Sequence[str]]] = _nothing
    links: Callable[[Collection[str]], Mapping[str, str]] = _nothing
    transactions: Transactions = _no_transactions
    known_as: Callable[[str, str], str] = _itself
    card: Callable[[str, Any], Card | None] = _no_card
    reader: Callable[[str], Any] = _nobody
    receipts: Callable[[Collection[str], Any], Mapping[str, str]] = _no_receipts
    keys: Callable[[], str] = _no_keys
    incident: Callable[[str, Scope], Incident | None] = _no_incident


NO_EXTRAS = Extras()


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """What the pages were mounted with. labels: names for references, where there are any."""

    labels: Labels
    extras: Extras


def mounted() -> Mounted:
    """Return what the pages are mounted with, for the faces that are no pages: the API, workers, commands.

    It is read from an address, so that it is told once; looking there also loads every room with its kinds of entries.
    """
    given = resolve(reverse("audit:pack-new")).kwargs
    return Mounted(labels=given["labels"], extras=given["extras"])
