"""The addresses of schedules, below those of exports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.urls import URLPattern, path

from audit.exports.schedules import views
from audit.exports.schedules.readers import Readers

Labels = Callable[[Collection[str]], Mapping[str, str]]


def pages(labels: Labels, readers: Readers) -> list[URLPattern]:
    """Return the pages. labels: names for references, where there are any."""
    named: dict[str, Any] = {"labels": labels}
    knowing: dict[str, Any] = {"readers": readers}
    return [
        path("exports/schedules/", views.list_view, named, name="schedules"),
        path("exports/schedules/new/", views.new_view, knowing, name="schedule-new"),
        path("exports/schedules/<slug:ref>/", views.schedule_view, named, name="schedule"),
        path("exports/schedules/<slug:ref>/change/", views.change_view, knowing, name="schedule-change"),
        path("exports/schedules/<slug:ref>/<slug:verb>/", views.verb_view, name="schedule-verb"),
    ]
