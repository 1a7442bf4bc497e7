"""The page of feeds, for admins: who gets the log, how far they are, what is wrong."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.access import Page, readers_only
from audit.feeds import services
from audit.feeds.delivering import key_of, lag_of
from audit.feeds.errors import FeedError, NoSuchFeed
from audit.feeds.forms import FORMATS, FeedForm
from audit.feeds.models import Feed

VERBS = {"pause": services.pause, "resume": services.resume, "delete": services.delete}


def admins_only(view: Page) -> Page:
    """Return a page that only admins see: a feed takes the whole log out of the house."""

    @wraps(view)
    def page(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        person: Any = request.user
        if not person.has_role("admin"):
            raise PermissionDenied(_("Only admins give the log to others."))
        return view(request, **kwargs)

    return readers_only(page)


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def list_view(request: HttpRequest) -> HttpResponse:
    """Show every feed with its lag; POST makes one."""
    form = FeedForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = services.create(**form.cleaned_data, by=_ref(request), now=datetime.now(UTC))
            return redirect("audit:feed", ref=row.ref)
        except FeedError as error:
            form.add_error(None, str(error))
    rows = [{"row": row, "lag": lag_of(row)} for row in Feed.objects.order_by("name", "pk")]
    return render(request, "audit/feeds/list.html", {"feeds": rows, "form": form})


@admins_only
@require_safe
def feed_view(request: HttpRequest, *, ref: str) -> HttpResponse:
    """Show one feed, and the key that its receiver checks signatures with."""
    row = Feed.objects.filter(ref=ref).first()
    if row is None:
        raise Http404
    key = base64.b64encode(key_of(row.ref)).decode() if row.kind == "http" else ""
    return render(request, "audit/feeds/feed.html", {"row": row, "facts": _facts(row), "key": key})


@admins_only
@require_POST
def verb_view(request: HttpRequest, *, ref: str, verb: str) -> HttpResponse:
    """Pause, resume, delete, or send a test message."""
    try:
        if verb == "test":
            services.ask_for_test(ref)
        elif verb in VERBS:
            VERBS[verb](ref, by=_ref(request))
        else:
            raise Http404
    except NoSuchFeed as error:
        raise Http404 from error
    return redirect("audit:feeds") if verb == "delete" else redirect("audit:feed", ref=ref)


def _facts(row: Feed) -> list[dict[str, Any]]:
    return [
        {"label": _("Address"), "value": row.address, "kind": "mono"},
        {"label": _("Format"), "value": str(dict(FORMATS).get(row.format, row.format))},
        {"label": _("Has everything up to"), "value": _("entry %(n)s") % {"n": f"{row.cursor:,}"} if row.cursor >= 0 else _("nothing yet"), "kind": "number"},
        {"label": _("Behind by"), "value": f"{lag_of(row):,}", "kind": "number", "sub": _("entries under a checkpoint")},
        {"label": _("Trouble"), "value": row.trouble or _("none"), "sub": _("%(n)s tries in a row") % {"n": row.failures} if row.failures else ""},
    ]  # fmt: skip


def _ref(request: HttpRequest) -> str:
    return str(getattr(request.user, "ref", "unknown"))
