"""The entry of pages and their bell, and of everything where one process serves all."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")

_http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  (needs the apps)
from channels.sessions import CookieMiddleware  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from aims.authorization.endpoints.long_poll import LongPoll  # noqa: E402
from aims.console import live  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": LongPoll(_http),
        "websocket": CookieMiddleware(
            URLRouter([path("live", live.Bell.as_asgi()), re_path("", live.Nowhere.as_asgi())])
        ),
    }
)
live.connect()
