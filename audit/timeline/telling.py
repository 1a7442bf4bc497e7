"""A story by its reference: gathered, told, named. What pages, the API and reports have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.access import Scope
from audit.errors import NoSuchStory
from audit.timeline.extras import NO_EXTRAS, Extras
from audit.timeline.gather import KINDS, Gathered, gather, happened
from audit.timeline.story import Story, tell

_REF = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,400}")  # no quote, no backslash: searches quote it


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
    below: int | None = None,
    now: datetime | None = None,
    extras: Extras = NO_EXTRAS,
) -> Timeline:
    """Return what happened in one transaction, approval, trace, grant, or to one agent or person, in order.

    kind: of ``gather.KINDS``. extras: what the log itself does not know; without them resources stand for themselves.
    below: no entry from this index on. At most ``gather.PAGE`` entries; ``gathered.later`` says where to go on.
    """
    moment = now or datetime.now(UTC)
    found = gather(
        kind, ref, scope=scope, now=moment, after=after, before=before, below=below, transactions=extras.transactions
    )
    told = happened(found.entries)
    story = tell(
        told,
        now=moment,
        is_whole=found.is_whole and scope.is_whole,
        behind=extras.behind({each.resource for each in told if each.resource}),
        grants=extras.grants({each.jti for each in told if each.jti}),
    )
    return Timeline(kind=kind, ref=ref, story=story, gathered=found)


def known(
    kind: str,
    ref: str,
    *,
    scope: Scope,
    extras: Extras,
    after: int | None = None,
    before: int | None = None,
    below: int | None = None,
) -> Timeline:
    """Return the story of what an address names, as ``timeline`` does.

    Raises: NoSuchStory where nothing is told of it; TooBroad where the database could not find in time what names it.
    """
    if kind not in KINDS or not _REF.fullmatch(ref):
        raise NoSuchStory("there is no such kind of story, or no such reference")
    named = extras.known_as(kind, ref)
    found = timeline(kind, named, scope=scope, after=after, before=before, below=below, extras=extras)
    if not found.story.steps:
        raise NoSuchStory(f"nothing is told of {kind} {named}")
    return found
