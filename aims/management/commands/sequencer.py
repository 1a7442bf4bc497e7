"""``manage.py sequencer``: numbers and signs the log of a scaled deployment; the only holder of its key."""

from __future__ import annotations

import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from aims import startup
from aims.console import live
from aims.console.jobs import sequence
from aims.management.serving import stop_on_sigterm


class Command(BaseCommand):
    help = "Number and sign the audit log of a scaled deployment. One leads, others wait. Needs AIMS_REDIS_URL."

    def handle(self, *args: Any, **options: Any) -> None:
        startup.refuse_unsafe(needs_log_key=True)
        if not settings.IS_SCALED:
            raise CommandError("AIMS_REDIS_URL is not set: without it, serve numbers the log itself.")
        stop_on_sigterm()
        live.connect()
        stop = threading.Event()
        try:
            sequence(stop)
        finally:
            stop.set()
