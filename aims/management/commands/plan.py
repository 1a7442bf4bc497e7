"""``manage.py plan FILE``: show what ``apply`` would change."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.console.configuration.change import Applying
from aims.console.configuration.run import plan
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator

DIFFERENT = 2  # exit status


class Command(BaseCommand):
    help = "Show what applying a configuration file would change; exits 2 if anything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changes = plan(options["file"].read_bytes(), Applying(by=operator(), now=clock.now()))
        except (AimsError, OSError) as error:
            raise CommandError(getattr(error, "public", str(error))) from error
        for change in changes:
            self.stdout.write(str(change))
        if changes:
            self.stdout.write(f"{len(changes)} to change. Nothing was changed.")
            sys.exit(DIFFERENT)
        self.stdout.write("Nothing to change.")
