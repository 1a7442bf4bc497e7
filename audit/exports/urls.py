"""The addresses of exports, below those of the log's pages."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path

from audit.exports import views
from audit.exports.packs import views as packs
from audit.timeline.extras import Extras, Labels


def pages(labels: Labels, extras: Extras) -> list[URLPattern]:
    """Return the pages. labels: names for references, where there are any. extras: what stories tell besides."""
    named: dict[str, Any] = {"labels": labels}
    return [
        path("exports/", views.list_view, named, name="exports"),
        path("verify/", views.verify_view, name="verify"),
        path("packs/new/", packs.new_view, {**named, "extras": extras}, name="pack-new"),
        path("exports/new/", views.new_view, name="export-new"),
        path("exports/<slug:ref>/", views.export_view, named, name="export"),
        path("exports/<slug:ref>/bundle", views.bundle_view, name="export-bundle"),
        path("exports/<slug:ref>/end/", views.end_view, name="export-end"),
    ]
