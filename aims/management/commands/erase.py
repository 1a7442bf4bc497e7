"""``manage.py erase REF``: erase a person, with the consent of a second person. There is no way back."""

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
    help = "Erase a person: who they are, and their values beside the log. Asked for and signed on the pages first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", help="the reference, usr_…")
        parser.add_argument("--basis", required=True, choices=keep.BASES, help="GDPR Art. 17 (1)")
        parser.add_argument("--consent", required=True, metavar="REF", help="what the second person signed")

    def handle(self, *args: Any, person: str, basis: str, consent: str, **options: Any) -> None:
        try:
            done = keeping.erase_person(person, basis=basis, consent=consent, by=operator(), now=clock.now())
        except AimsError as error:
            raise CommandError(error.public) from error
        done.refresh_from_db()
        rest = "" if done.state == "done" else " Their key is destroyed as soon as its store answers."
        self.stdout.write(f"{done.ref}: {done.values} values erased.{rest}")
