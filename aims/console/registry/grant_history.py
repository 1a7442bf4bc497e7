"""What the log says about one grant, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from aims.authorization.models import DelegationGrant
from aims.console import labels
from audit import read
from audit.read import EntryView, Filter

TYPES = ("authorization.grant.*", "authorization.tokens.*", "authorization.family.*")
PAGES_MAX = 5  # of the log's pages that are looked through: an agent may hold many grants at one resource
_SLACK = timedelta(minutes=1)  # an entry is numbered a moment after it was written, never before


@dataclass(frozen=True, kw_only=True)
class Told:
    """An entry about a grant. who: a name where there is one. count: tokens that ended, 0 elsewhere."""

    at: datetime
    title: str
    tone: str
    who: str
    count: int
    index: int


def history_of(grant: DelegationGrant) -> list[Told]:
    """Return the entries about a grant, the newest first."""
    found = sorted((entry for kind in TYPES for entry in _entries(grant, kind)), key=lambda entry: -entry.index)
    names = labels.of({entry.by for entry in found})
    return [
        Told(
            at=entry.occurred_at,
            title=entry.title,
            tone=entry.tone,
            who=names.get(entry.by, entry.by),
            count=int(entry.data.get("count", entry.data.get("tokens", 0))),
            index=entry.index,
        )
        for entry in found
    ]


def _entries(grant: DelegationGrant, kind: str) -> Iterator[EntryView]:
    """Yield the entries of this type that name the grant. The log is asked by agent, resource and time, which it keeps apart."""
    wanted = Filter(
        agent=grant.agent.identifier,
        resource=grant.resource.identifier,
        type=kind,
        since_at=grant.given_at - _SLACK,
    )
    for page in _pages(wanted):
        yield from (entry for entry in page if entry.data.get("grant") == grant.ref)


def _pages(wanted: Filter) -> Iterator[Iterable[EntryView]]:
    before: int | None = None
    for _page in range(PAGES_MAX):
        found = read.latest(wanted, before, read.PAGE_MAX)
        yield found
        if len(found) < read.PAGE_MAX:
            return
        before = found[-1].index
