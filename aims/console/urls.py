"""The start page, the patterns, and the two files that a browser wants at the root."""

from __future__ import annotations

from django.urls import path

from aims.console import views

urlpatterns = [
    path("", views.home, name="home"),
    path("patterns/", views.patterns, name="patterns"),
    path("manifest.webmanifest", views.manifest, name="manifest"),
    path("sw.js", views.service_worker, name="service-worker"),
]
