"""``manage.py beat``: ticks the sweeps of a scaled deployment."""

from __future__ import annotations

from typing import Any

from celery.beat import Service
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from aims import startup
from aims.celery import app
from aims.management.serving import close_databases, stop_on_sigterm


class Command(BaseCommand):
    help = "Tick the sweeps of a scaled deployment. Needs AIMS_REDIS_URL. A second beat does no harm."

    def handle(self, *args: Any, **options: Any) -> None:
        startup.refuse_unsafe(needs_log_key=False)
        if not settings.IS_SCALED:
            raise CommandError("AIMS_REDIS_URL is not set: without it, serve ticks by itself.")
        startup.refuse_unmigrated()
        close_databases()  # it has no more questions
        stop_on_sigterm()
        Service(app, max_interval=1, scheduler_cls="celery.beat:Scheduler").start()
