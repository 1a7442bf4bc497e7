"""Django over WSGI, which steps aside for a token that has a plan (``endpoints/plans.py``): answered before it has made a request.

All else is Django's own handler, with all of its middleware. What is planned is answered with the headers that these gave the
first such answer.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from aims.authorization.endpoints import in_threads
from aims.authorization.endpoints.from_memory import Granted
from aims.authorization.endpoints.plans import SILENT, TOKEN_PATH, Asked, taken_apart
from aims.kit.forms import MACHINE_BODY_MAX_BYTES

_HEADER, _DPOP = "HTTP_", "HTTP_DPOP"
_SILENT = frozenset(_HEADER + name.upper().replace("-", "_") for name in SILENT)
_SAID = (
    "REQUEST_METHOD",
    "wsgi.url_scheme",
    "QUERY_STRING",
    "CONTENT_TYPE",
    "SCRIPT_NAME",
    "SCRIPT_URL",
    "REDIRECT_URL",
)
_ASKED, _CAME_TO = "aims.asked", "aims.came_to"


class LeanHandler(WSGIHandler):
    """WSGI application for everything, with a shorter way to a token."""

    def __init__(self) -> None:
        super().__init__()
        self._headers: dict[bool, list[tuple[str, str]]] = {}  # of a granted token, by whether it came by TLS

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request."""
        asked = _asked(environ) if environ.get("PATH_INFO") == TOKEN_PATH else None
        came_to = in_threads.again(asked) if asked else None
        if isinstance(came_to, Granted) and (headers := self._kept_headers(came_to)):
            body = came_to.body()
            start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
            return [body]
        environ |= {_ASKED: asked, _CAME_TO: came_to}
        return super().__call__(environ, start_response)

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer; keep what middleware and views said of a token that was granted."""
        response = super().get_response(request)
        granted = request.META.get(_CAME_TO)
        if isinstance(granted, Granted) and granted.is_secure is not None and response.status_code == 200:
            self._headers[granted.is_secure] = list(response.items())
        return response

    def resolve_request(self, request: HttpRequest) -> Any:
        """Find the view; that of the token endpoint is asked what memory does not answer."""
        view, args, kwargs = super().resolve_request(request)
        return (partial(_answered, view) if request.META.get(_ASKED) else view), args, kwargs

    def _kept_headers(self, granted: Granted) -> list[tuple[str, str]] | None:
        return None if granted.is_secure is None else self._headers.get(granted.is_secure)


def _answered(ordinary: Callable[[HttpRequest], HttpResponse], request: HttpRequest) -> HttpResponse:
    said = request.META
    came_to = said[_CAME_TO] = said[_CAME_TO] or in_threads.first(request, said[_ASKED])
    return came_to.answer(ordinary, request)


def _asked(environ: dict[str, Any]) -> Asked | None:
    """Return a request to the token endpoint taken apart, None for one that can't be. Its body can be read again."""
    said = environ.get("CONTENT_LENGTH") or ""
    if not said.isdecimal() or len(said) > len(str(MACHINE_BODY_MAX_BYTES)) or int(said) > MACHINE_BODY_MAX_BYTES:
        return None
    try:
        body = environ["wsgi.input"].read(int(said))
    except OSError:  # the client hung up: Django is told so again
        return None
    environ["wsgi.input"] = io.BytesIO(body)
    if len(body) != int(said):
        return None
    headers = [(name, environ[name]) for name in environ if name.startswith(_HEADER) and name not in _SILENT]
    around = (*map(environ.get, _SAID), *(header for header in headers if header[0] != _DPOP))
    return taken_apart(body, around, environ.get(_DPOP))
