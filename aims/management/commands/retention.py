"""``manage.py retention``: how long the log is kept, what is due, and changing it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.compliance.services import keeping
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator
from audit import keep


class Command(BaseCommand):
    help = (
        "Show how long the log is kept and which month is due; or change it. Shorter needs a second person's consent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("months", nargs="?", type=int, help=f"{keep.MONTHS_MIN} to {keep.MONTHS_MAX}")
        parser.add_argument("--consent", default="", metavar="REF", help="what the second person signed, to shorten it")

    def handle(self, *args: Any, months: int | None, consent: str, **options: Any) -> None:
        try:
            if months is not None and months < keep.kept().months:
                keeping.keep_shorter(months, consent=consent, by=operator(), now=clock.now())
            elif months is not None:
                keeping.keep_longer(months, by=operator())
        except AimsError as error:
            raise CommandError(error.public) from error
        self._show()

    def _show(self) -> None:
        kept, due = keep.kept(), keep.next_due(clock.now())
        self.stdout.write(f"Kept for {kept.months} months. The first entry that is there: {kept.minimum}.")
        if due is not None:
            why = f"blocked: {due.blocked} {' '.join(due.holds)}".rstrip() if due.blocked else "goes next"
            month = f"{due.month.year:04d}-{due.month.month:02d}"
            self.stdout.write(f"Due: {month}, entries {due.first} to {due.end - 1}; {why}.")
