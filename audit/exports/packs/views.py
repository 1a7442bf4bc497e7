"""The page that asks for an evidence pack."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from audit.access import scope_of
from audit.errors import NoSuchStory
from audit.exports.errors import ExportError
from audit.exports.packs import asking
from audit.exports.packs.forms import PackForm
from audit.exports.views import for_readers, told
from audit.search.errors import TooBroad
from audit.timeline.extras import Extras, Labels
from audit.timeline.views import slow


@for_readers
@require_http_methods(["GET", "HEAD", "POST"])
def new_view(request: HttpRequest, *, labels: Labels, extras: Extras) -> HttpResponse:
    """Ask what to put in: GET shows what it would hold, POST asks for it."""
    said = request.POST if request.method == "POST" else request.GET
    kind, ref, scope = said.get("kind", ""), said.get("ref", ""), scope_of(request.user)
    try:
        offer = asking.offer(kind, ref, scope=scope, extras=extras)
    except NoSuchStory as error:
        raise Http404 from error
    except TooBroad:
        return slow(request)
    form = PackForm(request.POST if request.method == "POST" else None, surroundings=offer.surroundings)
    if form.is_bound and form.is_valid():
        by = str(getattr(request.user, "ref", "unknown"))
        try:
            row = asking.ask(
                kind,
                ref,
                formats=form.cleaned_data["formats"],
                with_surroundings=bool(form.cleaned_data.get("surroundings")),
                scope=scope,
                extras=extras,
                by=by,
                reader=by,
                now=datetime.now(UTC),
            )
            return redirect("audit:export", ref=row.ref)
        except ExportError as error:
            form.add_error(None, told(error))
    shown = {
        "form": form,
        "kind": kind,
        "ref": ref,
        "offer": offer,
        "name": labels({offer.about.ref}).get(offer.about.ref, ""),
        "title": asking.TITLES[offer.about.kind],
    }
    return render(request, "audit/packs/new.html", shown)
