"""``manage.py hold``: legal holds from the command line: list, place, release."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.compliance.services import keeping
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.management.commands._operator import operator
from audit import keep


class Command(BaseCommand):
    help = "List legal holds; place one; or release one, for which a second person has signed a consent on the pages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--all", action="store_true", help="hold everything")
        what.add_argument("--person", metavar="REF", help="hold what speaks of a person")
        what.add_argument("--agent", metavar="ID", help="hold what speaks of an agent, by its identifier")
        what.add_argument("--release", metavar="HOLD", help="release a hold; needs --consent")
        parser.add_argument("--since", type=date.fromisoformat, help="hold what was recorded from this day on (UTC)")
        parser.add_argument("--until", type=date.fromisoformat, help="hold it to the end of this day (UTC)")
        parser.add_argument("--reason", default="", help="why, in a sentence; it stays beside the log")
        parser.add_argument("--consent", default="", metavar="REF", help="what the second person signed")

    def handle(self, *args: Any, **options: Any) -> None:
        now, kind = clock.now(), _kind(options)
        try:
            if options["release"]:
                keeping.release_hold(options["release"], consent=options["consent"], by=operator(), now=now)
            elif kind:
                self._place(kind, options, now)
            else:
                self._list()
        except AimsError as error:
            raise CommandError(error.public) from error

    def _place(self, kind: str, options: dict[str, Any], now: datetime) -> None:
        hold = keeping.place_hold(
            kind,
            person=options["person"] or "",
            agent=options["agent"] or "",
            since_at=_midnight(options["since"]),
            until_at=_midnight(options["until"] and options["until"] + timedelta(days=1)),
            reason=options["reason"],
            by=operator(),
            now=now,
        )
        self.stdout.write(hold.ref)

    def _list(self) -> None:
        for hold in keep.holds_in_force():
            what = hold.person or hold.agent or " to ".join(str(at or "…") for at in (hold.since_at, hold.until_at))
            self.stdout.write(
                f"{hold.ref}  {hold.kind:8}{what if hold.kind != 'all' else ''}  {hold.placed_at:%Y-%m-%d}"
            )


def _kind(options: dict[str, Any]) -> str:
    if options["all"]:
        return "all"
    named = "person" if options["person"] else "agent" if options["agent"] else ""
    return named or ("period" if options["since"] or options["until"] else "")


def _midnight(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
