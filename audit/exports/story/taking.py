"""Taking a story away: found, set, and recorded before its first byte goes out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.http import HttpResponse

from audit.exports import story
from audit.exports.events import StoryTaken
from audit.exports.story import Asked
from audit.timeline.telling import known
from audit.write import Facts, record_alone


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The PDF of a story, and how a file of it is called."""

    name: str
    pdf: bytes


def take(
    kind: str, ref: str, asked: Asked, *, facts: Facts, after: int | None = None, before: int | None = None
) -> Taken:
    """Return a story as a PDF; that it was taken is recorded. after, before: the page of it. Raises: NoSuchStory."""
    found = known(kind, ref, scope=asked.scope, extras=asked.extras, after=after, before=before)
    pdf, entries = story.write(found, asked), found.gathered.entries
    event = StoryTaken(
        kind=found.kind,
        of=found.ref,
        entries=len(entries),
        first=entries[0].index,
        last=entries[-1].index,
        pdf_hash=hashlib.sha256(pdf).hexdigest(),
    )
    record_alone(event, by=asked.by, facts=facts)
    return Taken(name=f"{kind}-{entries[0].index}-{entries[-1].index}.pdf", pdf=pdf)


def pdf_response(taken: Taken) -> HttpResponse:
    """Return it as a download."""
    headers = {
        "Content-Disposition": f'attachment; filename="story-{taken.name}"',
        "Cache-Control": "private, no-store",
    }
    return HttpResponse(taken.pdf, content_type="application/pdf", headers=headers)
