"""A story on paper, from its page."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed

from audit.access import scope_of
from audit.errors import NoSuchStory
from audit.exports.story import Asked
from audit.exports.story.taking import pdf_response, take
from audit.search.errors import TooBroad
from audit.timeline.extras import Extras, Labels
from audit.timeline.views import place_in, slow
from audit.write import NOBODY


def story_pdf(request: HttpRequest, kind: str, ref: str, *, labels: Labels, extras: Extras) -> HttpResponse:
    """Answer what the page of a story shows as a PDF."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])  # a look at the head would be recorded as a taking
    person = request.user
    asked = Asked(
        by=str(getattr(person, "ref", "unknown")),
        at=datetime.now(UTC),
        scope=scope_of(person),
        reader=person,
        labels=labels,
        extras=extras,
    )
    try:
        return pdf_response(take(kind, ref, asked, facts=NOBODY, **place_in(request.GET)))
    except NoSuchStory as error:
        raise Http404 from error
    except TooBroad:
        return slow(request)
