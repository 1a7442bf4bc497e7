"""``manage.py test``: every test; arguments go to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

PROCESSES = ["-n", "2", "--dist", "worksteal"]


class Command(BaseCommand):
    help = "Run every test, on SQLite and on PostgreSQL with Valkey or Redis. Arguments go to pytest."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand everything behind ``test`` to pytest, unread."""
        given = argv[2:]
        chosen = given if any(not word.startswith("-") for word in given) else [*PROCESSES, *given]
        command = [sys.executable, "-m", "pytest", *chosen]
        env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        sys.stdout.flush()
        sys.exit(subprocess.run(command, cwd=settings.BASE_DIR, env=env, check=False).returncode)

    def handle(self, *args: Any, **options: Any) -> None:
        """Nothing: see ``run_from_argv``."""
