"""The addresses of this room: the public log, and the pages over it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path

from audit import endpoints, integrity, views
from audit.exports import urls as exports_urls
from audit.exports.schedules import urls as schedules_urls
from audit.exports.schedules.readers import NOBODY_THERE, Readers
from audit.exports.story import views as story
from audit.feeds import urls as feeds_urls
from audit.keeping import views as keeping
from audit.search import pages as search
from audit.timeline import views as timeline
from audit.timeline.extras import NO_EXTRAS, Extras
from audit.views import Labels, changing, guarded

_NUMBER = r"(?P<number>(?:x\d{3}/)*\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?"

log_urls = [
    path("log/checkpoint", endpoints.checkpoint),
    re_path(rf"^log/tile/entries/{_NUMBER}$", endpoints.bundle),
    re_path(rf"^log/tile/(?P<level>0|[1-9]\d?)/{_NUMBER}$", endpoints.tile),
]


def pages(labels: Labels, extras: Extras = NO_EXTRAS, readers: Readers = NOBODY_THERE) -> tuple[list[URLPattern], str]:
    """Return the pages and their namespace, for ``include()``.

    labels: names for references, where there are any. extras: what else timelines tell of them.
    readers: who may read the log, for reports that are scheduled.
    """

    def page(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        return path(route, guarded(view, labels=labels), name=name)

    patterns = [
        page("", search.list_view, "list"),
        page("suggest/", search.suggest_view, "suggest"),
        path("searches/", changing(search.save_view), name="save"),
        path("s/<slug:slug>/", guarded(search.kept_view), name="kept"),
        path("s/<slug:slug>/delete/", changing(search.delete_view), name="unsave"),
        path("newer/", guarded(views.newer_view), name="newer"),
        path("integrity/", guarded(integrity.integrity_view), name="integrity"),
        path("integrity/checks/", guarded(integrity.checks_view), name="checks"),
        path("integrity/checks/<slug:kind>/", integrity.check_now, name="check-now"),
        path("integrity/policy", guarded(integrity.policy_view), name="policy"),
        path("integrity/vkeys", guarded(integrity.vkeys_view), name="vkeys"),
        path("integrity/certificate/", guarded(integrity.certificate_view), name="certificate"),
        page("<int:index>/", views.entry_view, "entry"),
        path("<int:index>/proof", guarded(views.proof_view), name="proof"),
        path("<int:index>/personal/", keeping.posted(keeping.reveal_view), name="reveal"),
        path("personal/", keeping.asked(keeping.find_view, labels=labels), name="find-personal"),
        *schedules_urls.pages(labels, readers),
        *exports_urls.pages(labels, extras),
        *feeds_urls.pages,
        path(
            "timeline/<slug:kind>/<path:ref>/story.pdf",
            guarded(story.story_pdf, labels=labels, extras=extras),
            name="story-pdf",
        ),
        path("txn/<str:txn>/", guarded(timeline.redirect_view), name="timeline"),
        path(
            "timeline/<slug:kind>/<path:ref>/",
            guarded(timeline.story_view, labels=labels, extras=extras),
            name="story",
        ),
    ]
    return patterns, "audit"
