"""``manage.py apply FILE``: make the registry be what a configuration file says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.console.configuration.change import Applying
from aims.console.configuration.run import apply
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator


class Command(BaseCommand):
    help = "Apply a configuration file, all of it or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changes = apply(options["file"].read_bytes(), Applying(by=operator(), now=clock.now()))
        except (AimsError, OSError) as error:
            raise CommandError(getattr(error, "public", str(error))) from error
        for change in changes:
            self.stdout.write(str(change))
        self.stdout.write(f"{len(changes)} changed." if changes else "Nothing to change.")
