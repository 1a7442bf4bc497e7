"""What a pack is about, and which entries tell of it: found anew by whoever makes the pack, over the same snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.access import Scope
from audit.errors import NoSuchStory
from audit.models import Entry
from audit.timeline.extras import Extras
from audit.timeline.gather import KINDS as STORIES
from audit.timeline.telling import Timeline, known

FINDING = "finding"
KINDS = (*STORIES, FINDING)
PAGES_MAX = 4  # of a story, each with its own PDF
STORY, EVIDENCE = "story", "evidence"  # sets of entries that were chosen, and not searched


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What it is about. story: kind, reference, and the index before which it ends (None: nowhere); None where there is none.

    evidence: indexes that were named one by one.
    """

    kind: str
    ref: str
    story: tuple[str, str, int | None] | None
    evidence: tuple[int, ...] = ()

    def kept(self) -> dict[str, Any]:
        """Return it as a row keeps it."""
        return {"kind": self.kind, "ref": self.ref, "story": self.story, "evidence": list(self.evidence)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Subject:
        """Return what a row keeps."""
        story = kept["story"] and (kept["story"][0], kept["story"][1], kept["story"][2])
        return cls(kind=kept["kind"], ref=kept["ref"], story=story or None, evidence=tuple(kept["evidence"]))


@dataclass(frozen=True, kw_only=True)
class Found:
    """The entries that tell of it. pages: of the story. is_cut: there is more of it than PAGES_MAX pages."""

    pages: tuple[Timeline, ...]
    evidence: tuple[int, ...]
    is_cut: bool

    @property
    def chosen(self) -> Mapping[str, Sequence[int]]:
        """The indexes of each set, ascending; sets without any are left out."""
        told = {entry.index for page in self.pages for entry in page.gathered.entries}
        sets = {STORY: sorted(told), EVIDENCE: sorted(self.evidence)}
        return {name: indexes for name, indexes in sets.items() if indexes}

    @property
    def requests(self) -> tuple[str, ...]:
        """The approval requests in the story."""
        return tuple(dict.fromkeys(ref for page in self.pages for ref in page.story.requests))


def subject(kind: str, ref: str, *, scope: Scope, extras: Extras) -> Subject:
    """Return what an address names. Raises: NoSuchStory, also where this reader may not see it."""
    if kind == FINDING:
        incident = extras.incident(ref, scope)
        if incident is None:
            raise NoSuchStory("there is no such finding")
        return Subject(kind=kind, ref=ref, story=incident.story, evidence=tuple(sorted(set(incident.evidence))))
    if kind not in STORIES:
        raise NoSuchStory("there is no such kind of pack")
    return Subject(kind=kind, ref=extras.known_as(kind, ref), story=(kind, ref, None))


def find(about: Subject, *, scope: Scope, extras: Extras, below: int | None = None) -> Found:
    """Return the entries that tell of it, none from index ``below`` on. Raises: NoSuchStory where there are none."""
    pages, is_cut = _pages(about, scope=scope, extras=extras, below=below)
    found = Found(pages=tuple(pages), evidence=_within(about.evidence, scope, below), is_cut=is_cut)
    if not found.chosen:
        raise NoSuchStory(f"nothing is told of {about.kind} {about.ref}")
    return found


def _pages(about: Subject, *, scope: Scope, extras: Extras, below: int | None) -> tuple[list[Timeline], bool]:
    if about.story is None:
        return [], False
    kind, ref, before = about.story
    pages: list[Timeline] = []
    after: int | None = None
    while len(pages) < PAGES_MAX:
        try:
            page = known(kind, ref, scope=scope, extras=extras, after=after, before=before, below=below)
        except NoSuchStory:
            break  # what a finding was about may be out of sight, or gone
        pages.append(page)
        after = page.gathered.later
        if before is not None or after is None or after < 0:
            return pages, False
    return pages, len(pages) == PAGES_MAX


def _within(indexes: Iterable[int], scope: Scope, below: int | None) -> tuple[int, ...]:
    rows = scope.restrict(Entry.objects.filter(index__in=list(indexes)))
    rows = rows if below is None else rows.filter(index__lt=below)
    return tuple(rows.order_by("index").values_list("index", flat=True))
