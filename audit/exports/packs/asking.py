"""Asking for a pack: an export whose entries were chosen, with the story beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.access import Scope
from audit.exports import services
from audit.exports.models import Export
from audit.exports.packs.subject import Found, Subject, find, subject
from audit.exports.services import Wanted
from audit.timeline.extras import Extras

SURROUNDINGS_MAX = 20_000  # entries between the first and the last of a story
TITLES = {
    "txn": "Evidence about one transaction",
    "approval": "Evidence about one approval",
    "trace": "Evidence about one task",
    "grant": "Evidence about one permission",
    "agent": "Evidence about one agent",
    "person": "Evidence about one person",
    "finding": "Evidence about one finding",
}  # no names: an export's row outlives a person's erasure


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a pack would hold now. surroundings: how many entries lie between its first and its last; None: not offered."""

    about: Subject
    found: Found
    surroundings: int | None

    @property
    def entries(self) -> int:
        """How many entries were chosen."""
        return len({index for indexes in self.found.chosen.values() for index in indexes})


def offer(kind: str, ref: str, *, scope: Scope, extras: Extras) -> Offer:
    """Return what a pack would hold. Raises: NoSuchStory, TooBroad."""
    about = subject(kind, ref, scope=scope, extras=extras)
    found = find(about, scope=scope, extras=extras)
    first, end = _ends(found)
    is_offered = scope.agents is None and about.kind not in _LIVES and end - first <= SURROUNDINGS_MAX
    return Offer(about=about, found=found, surroundings=end - first if is_offered else None)


def ask(
    kind: str,
    ref: str,
    *,
    formats: Sequence[str],
    with_surroundings: bool,
    scope: Scope,
    extras: Extras,
    by: str,
    reader: str,
    now: datetime,
) -> Export:
    """Ask for a pack. reader: by whose rights cards and receipts are shown, empty for nobody's.

    with_surroundings: also every entry between the first and the last, which proves that none was left out; only where
    that is offered. Raises: NoSuchStory, TooBroad, TooManyExports, FormatMissing.
    """
    made = offer(kind, ref, scope=scope, extras=extras)
    first, end = _ends(made.found)
    sets = [_chosen(name, indexes) for name, indexes in made.found.chosen.items()]
    if query := _LIVES.get(made.about.kind):
        sets.append(Wanted(name="entries", query=query.format(made.about.ref), first=0, end=None))
    if with_surroundings and made.surroundings is not None:
        sets.append(Wanted(name="range", query="", first=first, end=end))
    return services.ask(
        kind="pack",
        title=TITLES[made.about.kind],
        sets=sets,
        formats=["jsonl", *(name for name in formats if name != "jsonl")],
        scope=scope,
        by=by,
        now=now,
        about={**made.about.kept(), "reader": reader},
    )


# Whose story is told from its newest entries only: the search finds all of them, and can be run again.
_LIVES = {"agent": 'agent:"{0}" OR by:"{0}"', "person": 'person:"{0}"'}


def _ends(found: Found) -> tuple[int, int]:
    indexes = [index for each in found.chosen.values() for index in each]
    return min(indexes), max(indexes) + 1


def _chosen(name: str, indexes: Sequence[int]) -> Wanted:
    return Wanted(name=name, query="", first=indexes[0], end=indexes[-1] + 1, chosen=name)
