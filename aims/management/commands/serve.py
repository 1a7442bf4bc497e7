"""``manage.py serve``: the server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from aims import startup
from aims.console.management import ensure_management_api
from aims.credentials.services import ensure_signing_keys
from aims.identifier.errors import IdentifierTaken
from aims.kit import clock
from aims.management import serving


class Command(BaseCommand):
    help = "Serve. One process does everything unless AIMS_REDIS_URL is set; then worker, beat and sequencer are apart."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--only", choices=["machine", "pages"], help="scaled: machine is WSGI, pages are ASGI")
        parser.add_argument("--workers", type=int, default=1, help="processes, with --only machine")

    def handle(self, *args: Any, host: str, port: int, only: str | None, workers: int, **options: Any) -> None:
        startup.refuse_unsafe(needs_log_key=not settings.IS_SCALED)
        startup.refuse_unmigrated()
        startup.refuse_foreign_passkeys()
        if (only or workers > 1) and not settings.IS_SCALED:
            raise CommandError("--only and --workers need AIMS_REDIS_URL: without it exactly one process may run.")
        if workers > 1 and only != "machine":
            raise CommandError("--workers goes with --only machine; for more pages, start another process.")
        ensure_first_rows(clock.now())
        if only == "machine":
            serving.serve_machine(host, port, workers)
        elif settings.IS_SCALED:
            serving.serve_scaled_pages(host, port)
        else:
            serving.serve_embedded(host, port)


def ensure_first_rows(now: datetime) -> None:
    """Make what a server needs and an empty database lacks. Where two processes start at once, one finds it made."""
    ensure_signing_keys(now)
    try:
        ensure_management_api(by="system", now=now)
    except IdentifierTaken:
        ensure_management_api(by="system", now=now)
