"""Every address of the product, room by room (the wire first: machine endpoints are the hot ones)."""

from __future__ import annotations

from django.urls import include, path

from aims.console import health

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("", include("aims.console.urls")),
    path("", include("approvals.urls")),
]
