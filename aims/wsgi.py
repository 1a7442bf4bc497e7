"""The machine endpoints' entry in a scaled deployment: ``serve --only machine``."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")

application = get_wsgi_application()

from aims.authorization.services import gathering  # noqa: E402  (needs the apps)
from aims.console import live  # noqa: E402

live.connect()
gathering.start()  # never stopped: whoever waits for a row is a request, and the server ends behind the last of these
