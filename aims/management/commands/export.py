"""``manage.py export``: take entries out of the log, with proofs that anybody can check."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aims.management.commands._operator import operator
from audit.exports import command

_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})?")


class Command(BaseCommand):
    help = "Export entries of the audit log as a bundle: manage.py export 'decision:deny after:7d' --out week.zip"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query", nargs="?", default="", help="a search, as on the audit page; nothing: every entry")
        parser.add_argument(
            "--range", metavar="A..B", default="0..", help="entries A to B, both included; A.. to the end"
        )
        parser.add_argument(
            "--format", action="append", default=[], choices=command.CHOICES, help="beside the exact bytes (repeat)"
        )
        parser.add_argument(
            "--pack", metavar="KIND:REF", help=f"an evidence pack instead, about one of {', '.join(command.KINDS)}"
        )
        parser.add_argument(
            "--surroundings", action="store_true", help="with --pack: also every entry between the first and the last"
        )
        parser.add_argument("--out", type=Path, required=True, metavar="F", help="where the zip goes")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            row = self._pack(options) if options["pack"] else self._export(options)
        except command.QueryError as error:
            raise CommandError("\n".join([str(error), *error.shown()])) from error
        except command.NoSuchStory as error:
            raise CommandError(f"No pack: {error}.") from error
        except (command.ExportError, OSError) as error:
            raise CommandError(f"No export: {error}.") from error
        self.stdout.write(f"{row.rows} entries in {options['out']} (SHA-256 {row.bundle_hash}).")

    def _pack(self, options: dict[str, Any]) -> Any:
        kind, colon, ref = options["pack"].partition(":")
        if not colon or options["query"] or options["range"] != "0..":
            raise CommandError("--pack is KIND:REF, and goes with neither a search nor --range.")
        return command.pack(
            options["out"],
            kind=kind,
            ref=ref,
            with_surroundings=options["surroundings"],
            formats=options["format"],
            by=operator(),
        )

    def _export(self, options: dict[str, Any]) -> Any:
        found = _RANGE.fullmatch(options["range"])
        if found is None or options["surroundings"]:
            raise CommandError("--range is A..B or A.., in numbers of entries; --surroundings goes with --pack.")
        return command.export(
            options["out"],
            query=options["query"].strip(),
            first=int(found[1]),
            end=int(found[2]) + 1 if found[2] else None,
            formats=options["format"],
            by=operator(),
        )
