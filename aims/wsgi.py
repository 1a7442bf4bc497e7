"""The machine endpoints' entry in a scaled deployment: ``serve --only machine``."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")

application = get_wsgi_application()

from aims.console import live  # noqa: E402  (needs the apps)

live.connect()
