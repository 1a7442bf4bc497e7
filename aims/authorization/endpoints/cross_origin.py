"""Clients that run in a browser call from their own origin: they may read what these endpoints answer.

Any origin, and never with credentials: no endpoint here knows a cookie. Spec: Fetch §3.2, RFC 9449 §8 (headers to expose).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

PREFLIGHT_MAX_AGE_S = 3600
# A wildcard stands for every header but Authorization, where there are no credentials.
ALLOWED_HEADERS = "Authorization, Content-Type, DPoP, MCP-Protocol-Version, *"
EXPOSED_HEADERS = "DPoP-Nonce, WWW-Authenticate, Retry-After"

View = Callable[..., HttpResponse]


def from_anywhere(view: View, *, methods: str) -> View:
    """Return the view, readable from any origin. methods: that a preflight is told of."""

    @csrf_exempt
    @functools.wraps(view, updated=())
    def opened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return readable(_preflight(methods) if is_preflight else view(request, *args, **kwargs))

    return opened


def readable(response: HttpResponse) -> HttpResponse:
    """Return the response, readable from any origin."""
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    return response


def _preflight(methods: str) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = methods
    response["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    response["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
    return response
