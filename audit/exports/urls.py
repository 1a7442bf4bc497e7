"""The addresses of exports, below those of the log's pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.urls import URLPattern, path

from audit.exports import views

Labels = Callable[[Collection[str]], Mapping[str, str]]


def pages(labels: Labels) -> list[URLPattern]:
    """Return the pages. labels: names for references, where there are any."""
    named: dict[str, Any] = {"labels": labels}
    return [
        path("exports/", views.list_view, named, name="exports"),
        path("verify/", views.verify_view, name="verify"),
        path("exports/new/", views.new_view, name="export-new"),
        path("exports/<slug:ref>/", views.export_view, named, name="export"),
        path("exports/<slug:ref>/bundle", views.bundle_view, name="export-bundle"),
        path("exports/<slug:ref>/end/", views.end_view, name="export-end"),
    ]
