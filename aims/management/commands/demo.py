"""``manage.py demo``: the whole story on one machine, by hand or unattended."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from aims.demo import world
from aims.identifier.models import Agent
from aims.kit import clock
from aims.management import demonstration, serving
from aims.management.demonstration import MARK, Cast
from aims.people.models import Passkey
from aims.people.queries import person_by_email
from aims.people.services import invite

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ASK_AGAIN_AFTER_S = 45
HOLD_EVERY_S = 2  # each time is an entry in the log


class Command(BaseCommand):
    help = "Start everything on http://localhost:8000 with sample data and a real agent that asks for approval."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--host", default="127.0.0.1", help="loopback only")
        parser.add_argument("--unattended", action="store_true", help="play the story in the terminal, then exit")
        parser.add_argument("--out", type=Path, help="with --unattended: leave the evidence in this folder")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["host"] not in LOOPBACK:
            raise CommandError("The demo listens on loopback only: it has sample people and secrets of its own.")
        if options["out"] and not options["unattended"]:
            raise CommandError("--out goes with --unattended.")
        if os.environ.get(MARK) != "1":
            self._enter_own_world(options)
        elif options["unattended"]:
            self._unattended(options["out"])
        else:
            self._by_hand(options["port"])

    def _enter_own_world(self, options: dict[str, Any]) -> None:
        """Start again with the demo's own folder, secrets and database, and none of the surroundings' settings."""
        if not options["unattended"]:
            folder = settings.BASE_DIR / "var" / "demo"
            os.execve(
                sys.executable, [sys.executable, *sys.argv], demonstration.environment(folder, port=options["port"])
            )
        folder = Path(tempfile.mkdtemp(prefix="aims-demo-"))
        try:
            environment = demonstration.environment(folder, port=demonstration.free_port())
            code = os.spawnve(os.P_WAIT, sys.executable, [sys.executable, *sys.argv], environment)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(code if code >= 0 else 1)

    # -- by hand -----------------------------------------------------------------------------------------

    def _by_hand(self, port: int) -> None:
        cast = self._prepared()
        link = self._link()
        stop = threading.Event()

        def on_ready() -> None:
            self._greet(link, cast)
            cast.start_servers(hold_every_s=HOLD_EVERY_S)
            demonstration.wait_for_passkey(stop.is_set)
            if not stop.is_set():
                cast.start_courier("--pause-s", str(ASK_AGAIN_AFTER_S))
                cast.start_foreman()

        try:
            serving.serve_embedded("127.0.0.1", port, on_ready=on_ready)
        finally:
            stop.set()
            cast.stop()

    def _prepared(self) -> Cast:
        call_command("migrate", verbosity=0)
        cast = Cast(settings.VAR_DIR, demonstration.ports(settings.VAR_DIR))
        if not Agent.objects.filter(identifier=world.FOREMAN).exists():
            demonstration.furnish(cast)
        return cast

    def _link(self) -> str | None:
        ada = person_by_email(world.ADA)
        if ada is None or Passkey.objects.filter(person=ada, ended_at=None).exists():
            return None
        return f"{settings.ISSUER}/join/{invite(ada, by='cli:demo', now=clock.now())}/"

    def _greet(self, link: str | None, cast: Cast) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(f"\nAIMS Console runs on {settings.ISSUER}"))
        if link:
            self.stdout.write(f"\nYou are Ada Lindqvist. Make your passkey here (once, within 24 hours):\n\n  {link}\n")
            self.stdout.write("As soon as you have it, two agents ask you:")
        else:
            self.stdout.write("\nSign in with Ada's passkey. Two agents ask you:")
        self.stdout.write("  Courier, to approve a payment;")
        self.stdout.write("  Foreman, to have a change merged, through Mason and Keeper, two more agents.")
        self.stdout.write(
            f"Take back what Foreman may do on {settings.ISSUER}/me/agents/, and Keeper is told no at once."
        )
        self.stdout.write(f"An MCP server with a tool that needs your approval: {cast.place('invoices')}")
        self.stdout.write("Ctrl-C stops everything.\n")
        self.stdout.flush()

    # -- unattended --------------------------------------------------------------------------------------

    def _unattended(self, out: Path | None) -> None:
        from aims.management import unattended

        cast = self._prepared()
        link = self._link()
        assert link is not None, "a throw-away database has no passkeys"
        story = unattended.Story(cast, link, out, self.stdout)
        port = int(settings.ISSUER.rsplit(":", 1)[1])

        def play() -> None:
            try:
                story.play()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        try:
            serving.serve_embedded("127.0.0.1", port, on_ready=lambda: threading.Thread(target=play).start())
        except SystemExit:
            pass
        finally:
            cast.stop()
        story.close()
