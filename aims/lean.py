"""Django for ``/oauth/`` alone, on the event loop: the same request, URLs, views and response at a third of the cost.

Django's own handler makes a thread for each request, a task that waits for the client to hang up, a spooled file and
three signals. Here the body is capped, ordinary views run in the threads of ``endpoints/on_loop.py``, which give their
connections back, and a view on the loop can't ask the database: Django refuses that. Whoever hangs up is not noticed,
and what was begun for it is finished. What it uses of Django is pinned by ``tests/protocol/oauth/test_on_loop.py``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, set_script_prefix
from django.utils.module_loading import import_string

from aims.authorization.endpoints import on_loop
from aims.kit.forms import MACHINE_BODY_MAX_BYTES

TOKEN = "oauth/token"  # the route in ``authorization/urls.py``


class LeanHandler(ASGIHandler):
    """ASGI application for requests to our own machine endpoints."""

    def load_middleware(self, is_async: bool = True) -> None:
        """Wrap the view in MACHINE_MIDDLEWARE: the other classes step aside for machines anyway."""
        self._view_middleware: list[object] = []
        self._exception_middleware: list[object] = []
        self._template_response_middleware: list[object] = []
        chain: Any = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]  # the stubs lack it
        for name in reversed(settings.MACHINE_MIDDLEWARE):
            chain = convert_exception_to_response(import_string(name)(chain))
        self._middleware_chain = chain
        _ = get_resolver(settings.ROOT_URLCONF).url_patterns  # read now, and not on the loop with the first request

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = await _body(receive)
        if body is None:
            return
        set_script_prefix(get_script_prefix(scope))
        request, refusal = self.create_request(scope, io.BytesIO(body))
        response: Any = refusal if request is None else await self.run_get_response(request)
        if not response.streaming and not response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
        await self.send_response(response, send)
        response.close()

    def resolve_request(self, request: HttpRequest) -> Any:
        """Find the view; an ordinary one is sent to a thread."""
        view, args, kwargs = super().resolve_request(request)
        is_token = request.resolver_match.route == TOKEN  # type: ignore[union-attr]  # super has set it
        return (partial(on_loop.token, ordinary=view) if is_token else _threaded(view)), args, kwargs


def _threaded(view: Callable[..., HttpResponse]) -> Callable[..., Any]:
    if iscoroutinefunction(view):
        return view

    async def threaded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return await on_loop.in_thread(lambda asked: view(asked, *args, **kwargs), request)

    return threaded


async def _body(receive: Any) -> bytes | None:
    """Return the body, cut off behind the most that a form may have: it is refused there. None: the client hung up."""
    parts, size = list[bytes](), 0
    while size <= MACHINE_BODY_MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)[: MACHINE_BODY_MAX_BYTES + 1]
