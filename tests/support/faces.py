"""The token endpoint by each of the two faces that answer from memory: on an event loop, and in threads."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync

from aims.asgi import application
from aims.lean import threads
from tests.support.oauth_client import MEDIA_TYPE, PAY, Machine

READ = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> tuple[int, str]:
        return self.status, str(json.loads(self.body).get("error", ""))


async def call(
    path: str, body: bytes = b"", *, method: str = "POST", parts: int = 1, more: Mapping[str, str] | None = None
) -> Answer:
    """Send one request to the whole application. more: headers."""
    headers = {"host": "localhost:8000", "content-type": MEDIA_TYPE, "content-length": str(len(body))} | dict(
        more or {}
    )
    size = len(body) // parts + 1
    messages = [
        {"type": "http.request", "body": body[at * size :][:size], "more_body": at < parts - 1} for at in range(parts)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path, "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("localhost", 8000), "client": ("127.0.0.1", 50_000),
    }  # fmt: skip
    await application(scope, receive, send)
    answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]))


def asks(machine: Machine, form: dict[str, str] = READ, **headers: str) -> Answer:
    """Send one request to the token endpoint, signed now."""
    return async_to_sync(call)("/oauth/token", urlencode(machine.signed(form)).encode(), more=headers)


def sends(form: dict[str, Any], **headers: str) -> Answer:
    return async_to_sync(call)("/oauth/token", urlencode(form).encode(), more=headers)


def in_threads(body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one request to the token endpoint over WSGI, in this thread. headers: beside those that ``call`` sends."""
    said = {"host": "localhost:8000", "content-type": MEDIA_TYPE, "content-length": str(len(body))} | dict(headers)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/oauth/token", "SCRIPT_NAME": "", "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "8000", "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http",
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    for name, value in said.items():
        plain = name.upper().replace("-", "_")
        environ[plain if plain in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{plain}"] = value
    started: list[Any] = []
    answered = _wsgi()(environ, lambda status, headers: started.extend((status, headers)))
    told = {name.lower(): value for name, value in started[1]}
    return Answer(int(started[0].partition(" ")[0]), told, b"".join(answered))


def on_loop(body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one request to the token endpoint over ASGI."""
    return async_to_sync(call)("/oauth/token", body, more=headers)


Face = Callable[[bytes, Mapping[str, str]], Answer]
FACES: list[Face] = [on_loop, in_threads]


@cache
def _wsgi() -> threads.LeanHandler:
    return threads.LeanHandler()
