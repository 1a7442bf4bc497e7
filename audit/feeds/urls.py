"""The addresses of feeds, below those of the log's pages."""

from __future__ import annotations

from django.urls import path

from audit.feeds import views

pages = [
    path("feeds/", views.list_view, name="feeds"),
    path("feeds/<slug:ref>/", views.feed_view, name="feed"),
    path("feeds/<slug:ref>/<slug:verb>/", views.verb_view, name="feed-verb"),
]
