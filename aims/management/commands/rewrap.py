"""``manage.py rewrap``: re-encrypt stored keys under the first ``AIMS_KEK``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.credentials.services import rewrap
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator


class Command(BaseCommand):
    help = "Re-encrypt stored signing keys under the first AIMS_KEK; then the old one may go."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = rewrap(by=operator())
        except AimsError as error:
            raise CommandError(error.public) from error
        self.stdout.write(f"{count} keys re-encrypted.")
