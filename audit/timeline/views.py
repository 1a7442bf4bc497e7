"""The page of a story: a sequence diagram, the same as a list, and cards beside what was carried out."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from audit.access import scope_of
from audit.errors import NoSuchStory
from audit.events import LogViewed
from audit.search.errors import TooBroad
from audit.timeline.extras import Extras
from audit.timeline.shown import drawing_of, shown_of
from audit.timeline.telling import Timeline, known
from audit.views import Labels, index_of, standing
from audit.write import NOBODY, record_alone

PLACES = ("after", "before")  # where a page of a story begins or ends


def story_view(request: HttpRequest, kind: str, ref: str, *, labels: Labels, extras: Extras) -> HttpResponse:
    """Show one story, at most ``gather.PAGE`` entries of it."""
    place = place_in(request.GET)
    try:
        found = known(kind, ref, scope=scope_of(request.user), extras=extras, **place)
    except NoSuchStory as error:
        raise Http404 from error
    except TooBroad:
        return slow(request)
    event = LogViewed(page="timeline", at=found.ref, query=[])
    record_alone(event, by=getattr(request.user, "ref", "unknown"), facts=NOBODY)
    told = shown_of(found, labels=labels, extras=extras, reader=request.user)
    shown = {
        "kind": kind,
        "ref": found.ref,
        "cut": found.gathered.is_cut,
        "told": told,
        "drawing": drawing_of(found.story, told.names),
        "chain": extras.links({found.ref}).get(found.ref, ""),
        "pack": f"{reverse('audit:pack-new')}?{urlencode({'kind': kind, 'ref': ref})}",
        "report": _report(kind, ref, place),
        **_pages(request, found),
        **standing(),
    }
    return render(request, "audit/story.html", shown)


def slow(request: HttpRequest) -> HttpResponse:
    """Say that what entries name a reference could not be found in time."""
    return render(request, "audit/slow.html", status=503)


def place_in(said: Mapping[str, str]) -> dict[str, int]:
    """Return which page of a story an address asks for."""
    return {name: index for name in PLACES if (index := index_of(said.get(name))) is not None}


def redirect_view(request: HttpRequest, txn: str) -> HttpResponse:
    """Lead from where a transaction's page was."""
    return HttpResponseRedirect(reverse("audit:story", kwargs={"kind": "txn", "ref": txn}))


def _report(kind: str, ref: str, place: Mapping[str, int]) -> str:
    address = reverse("audit:story-pdf", kwargs={"kind": kind, "ref": ref})
    return f"{address}?{urlencode(place)}" if place else address


def _pages(request: HttpRequest, found: Timeline) -> dict[str, str]:
    """Return where the rest of the story is; -1 stands for its very beginning or its newest end."""

    def link(name: str, index: int | None) -> str:
        return "" if index is None else request.path if index < 0 else "?" + urlencode({name: index})

    return {"later": link("after", found.gathered.later), "earlier": link("before", found.gathered.earlier)}
