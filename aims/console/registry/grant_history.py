"""What the log says about one grant, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aims.authorization.models import DelegationGrant
from aims.console import labels
from audit import read
from audit.read import EntryView, Filter, Scope

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


@dataclass(frozen=True, kw_only=True)
class History:
    """What is known of a grant. since_at: from when on that is all of it, None where it is from the beginning."""

    told: list[Told]
    since_at: datetime | None


def history_of(grant: DelegationGrant, *, scope: Scope) -> History:
    """Return the entries about a grant, the newest first, as far back as the log was looked through."""
    looked = [_looked(grant, kind, scope) for kind in TYPES]
    since_at = max((at for _entries, at in looked if at is not None), default=None)
    found = sorted((entry for entries, _at in looked for entry in entries), key=lambda entry: -entry.index)
    return History(told=_told(found), since_at=since_at)


def searched_for(grant: DelegationGrant) -> dict[str, str]:
    """Return what to search the log for to find all about a grant, and little else."""
    at = {"agent": grant.agent.identifier, "resource": grant.resource.identifier}
    return at | {"type": "authorization.*"}


def _told(found: list[EntryView]) -> list[Told]:
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


def _looked(grant: DelegationGrant, kind: str, scope: Scope) -> tuple[list[EntryView], datetime | None]:
    """Return the entries of this type that name the grant, and how far back it was looked; None: to its beginning.

    The log is asked by agent, resource and time, which it keeps apart.
    """
    wanted = Filter(
        agent=grant.agent.identifier,
        resource=grant.resource.identifier,
        type=kind,
        since_at=grant.given_at - _SLACK,
    )
    found: list[EntryView] = []
    before: int | None = None
    for _page in range(PAGES_MAX):
        page = read.latest(wanted, before, read.PAGE_MAX, scope=scope)
        found += (entry for entry in page if entry.data.get("grant") == grant.ref)
        if len(page) < read.PAGE_MAX:
            return found, None
        before, oldest_at = page[-1].index, page[-1].occurred_at
    return found, oldest_at
