"""``manage.py search``: what the log says, one entry a line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.management.commands._operator import operator
from audit import read
from audit.read import EntryView, QueryError
from audit.search.command import answered


class Command(BaseCommand):
    """Search the audit log in the language of its page. The reading is recorded, as ``cli:<os user>``."""

    help = "Search the audit log: manage.py search 'agent:courier decision:denied after:7d'. Newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the query and how much of the answer is wanted."""
        parser.add_argument("query", help="as on the page; empty for everything")
        parser.add_argument("--limit", type=int, default=read.PAGE_DEFAULT, help="how many entries at most")
        parser.add_argument("--json", action="store_true", help="one entry a line, as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the newest entries that fit."""
        if options["limit"] < 1:
            raise CommandError("--limit is at least 1.")
        spell = _as_json if options["json"] else _as_text
        now = datetime.now().astimezone()
        try:
            for entry in answered(options["query"], limit=options["limit"], by=operator(), now=now):
                self.stdout.write(spell(entry))
        except QueryError as error:
            line, carets = error.shown()
            raise CommandError(f"{error.message}\n  {line}\n  {carets}") from error


def _as_json(entry: EntryView) -> str:
    facts = {name: value for name, value in vars(entry).items() if name not in ("canon", "title", "tone")}
    return json.dumps(facts, default=datetime.isoformat)


def _as_text(entry: EntryView) -> str:
    said = (entry.decision or "", entry.by, entry.agent or "", entry.resource or "", entry.action or "")
    facts = " ".join(dict.fromkeys(word for word in said if word))
    return f"{entry.index:>10} {entry.recorded_at:%Y-%m-%d %H:%M:%S} {entry.type} {facts}"
