"""The machine endpoints' entry in a scaled deployment: ``serve --only machine``."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")
django.setup(set_prefix=False)

from aims.authorization.services import gathering  # noqa: E402  (needs the apps)
from aims.console import live  # noqa: E402
from aims.lean.threads import LeanHandler  # noqa: E402

application = LeanHandler()
live.connect()
gathering.start()  # never stopped: whoever waits for a row is a request, and the server ends behind the last of these
