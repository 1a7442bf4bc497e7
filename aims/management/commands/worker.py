"""``manage.py worker``: runs the sweeps of a scaled deployment."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from aims import startup
from aims.celery import DELIVER_PINGS, app
from aims.console import live
from aims.console.jobs import wake_deliveries


class Command(BaseCommand):
    help = "Run the jobs of a scaled deployment. Needs AIMS_REDIS_URL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=int, default=4, help="threads")

    def handle(self, *args: Any, concurrency: int, **options: Any) -> None:
        startup.refuse_unsafe(needs_log_key=False)
        if not settings.IS_SCALED:
            raise CommandError("AIMS_REDIS_URL is not set: without it, serve runs the jobs itself.")
        startup.refuse_unmigrated()
        live.connect()
        wake_deliveries(app, DELIVER_PINGS)
        app.worker_main(["worker", "--pool=threads", f"--concurrency={concurrency}", "--loglevel=WARNING"])
