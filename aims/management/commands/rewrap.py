"""``manage.py rewrap``: re-encrypt stored keys under the first ``AIMS_KEK``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.credentials.services import rewrap
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator
from audit import keep


class Command(BaseCommand):
    help = "Re-encrypt stored signing keys, and the keys of people, under the first AIMS_KEK; then the old one may go."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = rewrap(by=operator())
        except AimsError as error:
            raise CommandError(error.public) from error
        try:
            persons = keep.rewrap_person_keys()
        except keep.PersonalError as error:
            raise CommandError(f"Keys of people: {error}. Keep the old AIMS_KEK until this has worked.") from error
        self.stdout.write(f"{count} keys re-encrypted, and those of {persons} people.")
