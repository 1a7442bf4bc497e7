"""Which handler an address goes to under ASGI: the lean one for machines at ``/oauth/``, the ordinary one for all else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import RequestFactory

from aims.asgi import OAUTH, _by_path, application
from aims.console.middleware import is_machine
from aims.urls import urlpatterns

LEAN = [
    "/oauth/token",
    "/oauth/par",
    "/oauth/jwks",
    "/oauth/userinfo",
    "/oauth/register/reg_1",
    "/oauth/",
    "/oauth/none",
]
# What a server hands on is decoded, and joined or normalised by nobody: these are other addresses, and lead nowhere.
LEAN_AND_UNKNOWN = [
    "/oauth//token",
    "/oauth/./token",
    "/oauth/../sign-in/",
    "/oauth/token/",
    "/oauth/TOKEN",
    "/oauth/%74oken",
]
ORDINARY = [
    "/", "/oauth", "/sign-in/", "/oauth/authorize", "/oauth/authorize/decide", "/oauth/authorize/go-on/apr_1/", "/api/v1/agents/",
    "/.well-known/openid-configuration", "/log/checkpoint", "/healthz", "/live",
]  # fmt: skip
ORDINARY_AND_UNKNOWN = [
    "//oauth/token",
    "/OAUTH/token",
    "/Oauth/token",
    "/x/oauth/token",
    "oauth/token",
    "/oauth%2ftoken",
    "/oautha",
]


def taken_by(path: str, **more: Any) -> str:
    """Return who was called for a path."""
    called: list[str] = []

    def app(name: str) -> Any:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            called.append(name)

        return run

    async def nothing(*_: Any) -> Any:
        return {}

    scope = {"type": "http", "path": path, **more}
    async_to_sync(_by_path(app("lean"), app("ordinary")))(scope, nothing, nothing)
    assert len(called) == 1
    return called[0]


def answered(path: str, method: str = "POST", **more: Any) -> int:
    """Return the status that the whole application answers."""
    sent: list[dict[str, Any]] = []

    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in body:
            return message
        await asyncio.Event().wait()  # nobody hangs up
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path, "query_string": b"",
        "headers": [(b"host", b"localhost:8000"), (b"content-type", b"application/x-www-form-urlencoded")],
        "server": ("localhost", 8000), "client": ("127.0.0.1", 50_000), **more,
    }  # fmt: skip
    async_to_sync(application)(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize("path", [*LEAN, *LEAN_AND_UNKNOWN])
def test_machines_go_to_the_lean_handler(path: str) -> None:
    assert taken_by(path) == "lean"


@pytest.mark.parametrize("path", [*ORDINARY, *ORDINARY_AND_UNKNOWN])
def test_everybody_else_goes_to_the_ordinary_one(path: str) -> None:
    assert taken_by(path) == "ordinary"


@pytest.mark.parametrize(
    "path", [*LEAN, *LEAN_AND_UNKNOWN, *ORDINARY, "/oauth/authorizes", "/oauth/authorize/../token"]
)
def test_the_middleware_takes_the_same_for_machines(path: str) -> None:
    """What runs lean has no session: it must be what the middleware of pages steps aside for."""
    request = RequestFactory().get("/")
    request.path_info = path
    assert (taken_by(path) == "lean") == (is_machine(request) and path.startswith(OAUTH))


def test_every_address_below_oauth_that_is_mounted_is_taken_by_the_right_one() -> None:
    for route in _routes(urlpatterns, ""):
        if route.startswith(OAUTH):
            assert taken_by(route) == ("ordinary" if route.startswith("/oauth/authorize") else "lean"), route


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [*LEAN_AND_UNKNOWN, "/oauth/none", "//oauth/token", "/OAUTH/token", "/oauth%2ftoken"])
def test_what_is_spelled_otherwise_is_not_there(path: str) -> None:
    assert answered(path) in (403, 404)  # 403: a page that a form was sent to from nowhere


@pytest.mark.django_db(transaction=True)
def test_below_a_script_prefix_the_ordinary_handler_answers_the_same() -> None:
    prefixed = {"root_path": "/console", "path": "/console/oauth/token"}
    assert taken_by(**prefixed) == "ordinary"
    assert answered(**prefixed) == answered("/oauth/token") == 401
    assert answered("/console/oauth/token") in (403, 404)  # no prefix was said
    assert settings.FORCE_SCRIPT_NAME is None


def _routes(patterns: Any, below: str) -> Any:
    for pattern in patterns:
        route = below + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if hasattr(pattern, "url_patterns"):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield "/" + route
