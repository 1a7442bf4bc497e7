"""A story by its reference: gathered, told, named. What pages, the API and reports have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from audit.access import Scope
from audit.timeline.extras import NO_EXTRAS, Extras
from audit.timeline.gather import Gathered, gather, happened
from audit.timeline.story import Story, tell


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A story and how to go on. kind, ref: what it is of."""

    kind: str
    ref: str
    story: Story
    gathered: Gathered


def timeline(
    kind: str,
    ref: str,
    *,
    scope: Scope,
    after: int | None = None,
    before: int | None = None,
    now: datetime | None = None,
    extras: Extras = NO_EXTRAS,
) -> Timeline:
    """Return what happened in one transaction, approval, trace, grant, or to one agent or person, in order.

    kind: of ``gather.KINDS``. extras: what the log itself does not know; without them resources stand for themselves.
    At most ``gather.PAGE`` entries; ``gathered.later`` says where to go on.
    """
    moment = now or datetime.now(UTC)
    found = gather(kind, ref, scope=scope, now=moment, after=after, before=before, transactions=extras.transactions)
    told = happened(found.entries)
    story = tell(
        told,
        now=moment,
        is_whole=found.is_whole and scope.is_whole,
        behind=extras.behind({each.resource for each in told if each.resource}),
        grants=extras.grants({each.jti for each in told if each.jti}),
    )
    return Timeline(kind=kind, ref=ref, story=story, gathered=found)
