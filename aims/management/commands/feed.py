"""``manage.py feed``: who gets the log as it grows: list, add, pause, resume, test, remove, status."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.management.commands._operator import operator
from audit.feeds import command


class Command(BaseCommand):
    help = "Give the audit log to a receiver as it grows: manage.py feed add SIEM https://siem.example/in --from-start"

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="every feed, and how far it is")
        add = verbs.add_parser("add", help="give the log to a receiver; prints the feed's reference")
        add.add_argument("name")
        add.add_argument("address", help="https://siem.example/in, or tls://siem.example:6514 for syslog")
        add.add_argument("--format", choices=command.FORMATS, default="canonical")
        add.add_argument("--from-start", action="store_true", help="from the first entry on, not from now on")
        for verb, what in (
            ("pause", "deliver nothing until it is resumed"),
            ("resume", "go on behind what was acknowledged"),
            ("test", "send a test message with the next delivery, also while paused"),
            ("remove", "end a feed; how far it was is forgotten"),
            ("key", "print the key that signs what goes there (a secret)"),
        ):
            verbs.add_parser(verb, help=what).add_argument("ref", metavar="FEED")
        status = verbs.add_parser("status", help="one feed or all; ends with 1 where one can't be delivered")
        status.add_argument("ref", metavar="FEED", nargs="?", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._do(options)
        except command.FeedError as error:
            raise CommandError(_words(options["verb"], error)) from error

    def _do(self, options: dict[str, Any]) -> None:
        verb = options["verb"]
        if verb == "add":
            self.stdout.write(_add(options))
        elif verb == "key":
            self.stdout.write(command.key(options["ref"]))
        elif verb in ("list", "status"):
            self._tell(options.get("ref", ""), must_work=verb == "status")
        else:
            command.move(verb, options["ref"], by=operator())

    def _tell(self, ref: str, *, must_work: bool) -> None:
        told = [f"{label:10} {value}" for label, value in command.facts(ref)] if ref else list(command.lines())
        for line in told:
            self.stdout.write(line)
        if must_work and command.in_trouble(ref):
            raise SystemExit(1)


def _add(options: dict[str, Any]) -> str:
    address = options["address"]
    kind = "syslog" if address.startswith(("tls://", "tcp://")) else "http"
    told = {"kind": kind, "format": options["format"], "is_from_start": options["from_start"]}
    return command.add(options["name"], address, **told, by=operator())


def _words(verb: str, error: command.FeedError) -> str:
    words = {
        "address_refused": "The address is https://… or tls://host:port, without a user. "
        "Without TLS only where AIMS_FETCH_ALLOW names it.",
        "no_feed": f"There is no such feed, or none that one can {verb} now.",
    }
    return words.get(error.code, f"{error}.")
