"""The addresses of this room alone, with names for two of the cast."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.urls import include, path

from audit.urls import log_urls, pages

NAMES = {"usr_ada": "Ada Lindqvist", "spiffe://example.org/courier": "Courier"}


def labels(refs: Collection[str]) -> Mapping[str, str]:
    return {ref: NAMES[ref] for ref in refs if ref in NAMES}


urlpatterns = [*log_urls, path("audit/", include(pages(labels)))]
