"""``manage.py seat EMAIL``: an auditor's seat from the command line: open, prolong, end."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from aims.identifier.queries import agent_named
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator
from aims.people import queries, services
from aims.people.models import AuditSeat


class Command(BaseCommand):
    help = "Open an auditor's seat, which ends by itself, and print an enrolment link; or prolong it, or end it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="")
        parser.add_argument("--days", type=int, help="how long it lasts from now; a guest's 90 at most")
        parser.add_argument("--staff", action="store_true", help="one of the house: may last until it is ended")
        parser.add_argument("--agent", action="append", help="open only the entries of this agent; repeat for more")
        parser.add_argument("--since", type=date.fromisoformat, help="open the log from this day on (UTC)")
        parser.add_argument("--until", type=date.fromisoformat, help="open the log to the end of this day (UTC)")
        change = parser.add_mutually_exclusive_group()
        change.add_argument("--prolong", action="store_true", help="let the open seat last --days from now")
        change.add_argument("--end", action="store_true", help="end the open seat now")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        now = clock.now()
        try:
            if options["end"]:
                services.end_seat(_seat_of(email), by=operator(), now=now)
            elif options["prolong"]:
                until_at = now + timedelta(days=options["days"] or 0)
                services.prolong_seat(_seat_of(email), until_at=until_at, by=operator(), now=now)
            else:
                self._open(email, options, now)
        except AimsError as error:
            raise CommandError(error.public) from error

    def _open(self, email: str, options: dict[str, Any], now: datetime) -> None:
        terms = services.SeatTerms(
            is_guest=not options["staff"],
            until_at=now + timedelta(days=options["days"]) if options["days"] is not None else None,
            agents=_agents(options["agent"]),
            period_since_at=_midnight(options["since"]),
            period_until_at=_midnight(options["until"] and options["until"] + timedelta(days=1)),
        )
        seat, token = services.open_seat(email, terms, name=options["name"], by=operator(), now=now)
        self.stdout.write(f"{settings.ISSUER}/join/{token}/" if token else f"{seat.ref}: signs in with their passkey")


def _seat_of(email: str) -> AuditSeat:
    person = queries.person_by_email(email)
    seat = queries.seat_of(person) if person else None
    if seat is None:
        raise CommandError("This person has no open auditor's seat.")
    return seat


def _agents(identifiers: list[str] | None) -> tuple[str, ...] | None:
    if identifiers is None:
        return None
    for identifier in identifiers:
        if agent_named(identifier) is None:
            raise CommandError(f"There is no agent {identifier}.")
    return tuple(identifiers)


def _midnight(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
