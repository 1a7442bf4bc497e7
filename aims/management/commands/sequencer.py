"""``manage.py sequencer``: numbers and signs the log of a scaled deployment; the only holder of its key."""

from __future__ import annotations

import getpass
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from aims import startup
from aims.console import live
from aims.console.jobs import ask, sequence
from audit import checkpoints
from audit.beside import witnessed
from audit.checkpoints import Reason


class Command(BaseCommand):
    help = "Number and sign the audit log of a scaled deployment. One leads, others wait. Needs AIMS_REDIS_URL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--begin-generation",
            choices=["restored", "key_replaced"],
            help="begin the log's next origin, after a restore or with a new key; then stop. The old one never grows again",
        )

    def handle(self, *args: Any, begin_generation: Reason | None, **options: Any) -> None:
        startup.refuse_unsafe(needs_log_key=True)
        startup.refuse_unmigrated()
        if begin_generation:
            key = checkpoints.load_log_key(checkpoints.key_path())
            begun = checkpoints.begin_generation(
                begin_generation, key=key, by=f"cli:{getpass.getuser()}", outside=witnessed(ask)
            )
            self.stdout.write(f"Begun: {begun.origin}")
            return
        if not settings.IS_SCALED:
            raise CommandError("AIMS_REDIS_URL is not set: without it, serve numbers the log itself.")
        live.connect()
        stop = threading.Event()
        # Not an exception in the middle of its work: told to stop, it signs what is left and ends.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: stop.set())
        sequence(stop)
