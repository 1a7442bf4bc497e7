"""The entry of pages and their bell, and of everything where one process serves all."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")

_pages = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  (needs the apps)
from channels.sessions import CookieMiddleware  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from aims.authorization.endpoints.long_poll import App, LongPoll, Receive, Scope, Send  # noqa: E402
from aims.console import live  # noqa: E402
from aims.console.middleware import PAGE_PREFIXES  # noqa: E402
from aims.lean.loop import LeanHandler  # noqa: E402

OAUTH = "/oauth/"


def _by_path(machine: App, other: App) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        # The authorization endpoint is a page: a person with a session sits in front of it.
        is_machine = path.startswith(OAUTH) and not path.startswith(PAGE_PREFIXES)
        await (machine if is_machine else other)(scope, receive, send)

    return app


application = ProtocolTypeRouter(
    {
        "http": LongPoll(_by_path(LeanHandler(), _pages)),
        "websocket": CookieMiddleware(
            URLRouter([path("live", live.Bell.as_asgi()), re_path("", live.Nowhere.as_asgi())])
        ),
    }
)
live.connect()
