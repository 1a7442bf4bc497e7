"""``manage.py invite EMAIL --role ROLE``: print a one-time enrolment link."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people import services
from aims.people.models import Role


class Command(BaseCommand):
    help = "Print a one-time link with which a person registers a passkey. Good for 24 hours."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", action="append", default=[], choices=Role.values)
        parser.add_argument("--name", default="")

    def handle(self, *args: Any, email: str, role: list[str], name: str, **options: Any) -> None:
        by = f"cli:{getpass.getuser()}"
        try:
            token = services.invite(email, roles=role, name=name, by=by, now=clock.now())
        except AimsError as error:
            raise CommandError(error.public) from error
        self.stdout.write(f"{settings.ISSUER}/join/{token}/")
