"""Django for ``/oauth/`` alone, on the event loop: the same request, URLs, views and response at a third of the cost.

Django's own handler makes a thread for each request, a task that waits for the client to hang up, a spooled file and
three signals. Here the body is capped, the view of a path is looked up once, ordinary views run in the threads of
``endpoints/on_loop.py``, which give their connections back, and a view on the loop can't ask the database: Django refuses
that. A token that is granted on the loop is answered with the headers that middleware and views gave the first such answer,
and one that has a plan (``endpoints/plans.py``) before Django has made a request of it.
Whoever hangs up is not noticed, and what was begun for it is finished. What it uses of Django is pinned by ``tests/protocol/oauth/test_on_loop.py``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, get_resolver, set_script_prefix
from django.utils.log import log_response
from django.utils.module_loading import import_string

from aims.authorization.endpoints import on_loop
from aims.authorization.endpoints.from_memory import Granted
from aims.authorization.endpoints.plans import SILENT, TOKEN_PATH, Asked, taken_apart
from aims.kit.forms import MACHINE_BODY_MAX_BYTES

CONTENT_LENGTH = "Content-Length"
_DPOP, _LENGTH = b"dpop", b"content-length"
_SILENT = frozenset(name.encode() for name in SILENT)
PATHS_KEPT = 64


class LeanHandler(ASGIHandler):
    """ASGI application for requests to our own machine endpoints."""

    def load_middleware(self, is_async: bool = True) -> None:
        """Wrap the view in MACHINE_MIDDLEWARE: the other classes step aside for machines anyway."""
        self._headers: dict[bool, list[tuple[bytes, bytes]]] = {}  # of a granted token, by whether it came by TLS
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
        asked = _asked(scope, body) if scope["path"] == TOKEN_PATH else None
        came_to = await on_loop.again(asked) if asked else None
        if isinstance(came_to, Granted) and (headers := self._kept_headers(came_to)):
            await _send(came_to.body(), headers, send)
            return
        set_script_prefix(get_script_prefix(scope))
        request, refusal = self.create_request(scope, io.BytesIO(body))
        if came_to is None and request is not None and request.path_info == TOKEN_PATH:
            came_to = await on_loop.first(request, asked)
        if isinstance(came_to, Granted) and (headers := self._kept_headers(came_to)):
            await _send(came_to.body(), headers, send)
            return
        if request is not None:
            request.came_to = came_to  # type: ignore[attr-defined]  # for resolve_request
        response: Any = refusal if request is None else await self.run_get_response(request)
        if isinstance(came_to, Granted):
            self._keep_headers(came_to, response)
        if not response.streaming and not response.has_header(CONTENT_LENGTH):
            response[CONTENT_LENGTH] = str(len(response.content))
        await self.send_response(response, send)
        _close(response)

    def _kept_headers(self, granted: Granted) -> list[tuple[bytes, bytes]] | None:
        return None if granted.is_secure is None else self._headers.get(granted.is_secure)

    def _keep_headers(self, granted: Granted, response: HttpResponse) -> None:
        """Keep what middleware and views said of a token that was granted: of the next they would say the same."""
        if granted.is_secure is not None and response.status_code == 200:
            headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
            self._headers[granted.is_secure] = headers

    async def get_response_async(self, request: HttpRequest) -> Any:
        """Return the answer; what went wrong is logged here and not from a thread."""
        response = await self._middleware_chain(request)
        response._resource_closers.append(request.close)
        if response.status_code >= 400:
            log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
        return response

    def make_view_atomic(self, view: Any) -> Any:
        """Return the view: no transaction spans a request here."""
        return view

    def resolve_request(self, request: HttpRequest) -> Any:
        """Find the view; an ordinary one is sent to a thread."""
        match = request.resolver_match = _match(settings.ROOT_URLCONF, request.path_info)
        came_to = getattr(request, "came_to", None)
        view = partial(on_loop.answered, came_to, match.func) if came_to else _threaded(match.func)
        return view, match.args, match.kwargs


@lru_cache(maxsize=PATHS_KEPT)
def _match(urlconf: str, path: str) -> ResolverMatch:
    """Return where a path leads. Raises Resolver404, which is not kept."""
    return get_resolver(urlconf).resolve(path)


def _asked(scope: Any, body: bytes) -> Asked | None:
    """Return a request to the token endpoint taken apart, None for one that can't be."""
    around, proofs = [scope["method"], scope["scheme"], scope.get("root_path"), scope["query_string"]], []
    for header in scope["headers"]:
        name, value = header
        if name == _DPOP:
            proofs.append(value.decode("latin-1"))
        elif name == _LENGTH:
            if value != b"%d" % len(body):
                return None
        elif name not in _SILENT:
            around.append(header)
    return taken_apart(body, tuple(around), proofs[0] if proofs else None) if len(proofs) <= 1 else None


async def _send(body: bytes, headers: list[tuple[bytes, bytes]], send: Any) -> None:
    """Send an answer of 200."""
    length = (b"Content-Length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _close(response: Any) -> None:
    """Let go of what the request held, as ``HttpResponse.close`` does, without its signal.

    What listens to that closes databases and caches, of which a loop has none: the threads close theirs.
    """
    for close in response._resource_closers:
        close()
    response.closed = True


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
