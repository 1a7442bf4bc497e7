"""``manage.py witness``: cosigns the checkpoints of logs, for whoever should not have to trust them.

A process of its own, on another machine and in other hands: it reads no database, key or secret of the console.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError

from audit.witness.app import Witness
from audit.witness.files import MEMORY, Logs, NotSetUp, load, make
from audit.witness.memory import Memory

CONNECTIONS_MAX = 64
KEEP_ALIVE_S = 30


class Command(BaseCommand):
    """Init makes name and key, once; without it the witness is served."""

    help = "Witness logs: cosign their checkpoints as long as they only grow (C2SP tlog-witness)."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dir", type=Path, default=Path("witness"), metavar="D", help="its key, name and memory")
        parser.add_argument("--init", metavar="NAME", help="make the key of a witness of this name; then stop")
        parser.add_argument("--vkey", action="store_true", help="print its verifier key; then stop")
        parser.add_argument(
            "--logs", type=Path, metavar="F", help="the logs: verifier keys, one a line, or a tlog-policy"
        )
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8042)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["init"]:
                make(options["dir"], options["init"])
            elif not options["vkey"] and not options["logs"]:
                raise CommandError("--logs is missing: the file with the verifier keys of the logs to witness.")
            witness = _witness(options["dir"], options["logs"])
        except NotSetUp as error:
            raise CommandError(str(error)) from error
        if options["init"] or options["vkey"]:
            self.stdout.write(witness.vkey)
            return
        self.stdout.write(f"witness {witness.vkey} on http://{options['host']}:{options['port']}")
        self.stdout.flush()
        uvicorn.run(
            witness, host=options["host"], port=options["port"], log_level="warning", lifespan="on",
            limit_concurrency=CONNECTIONS_MAX, timeout_keep_alive=KEEP_ALIVE_S, server_header=False,
        )  # fmt: skip


def _witness(folder: Path, logs: Path | None) -> Witness:
    name, key = load(folder)
    return Witness(name=name, key=key, memory=Memory(folder / MEMORY), logs=Logs(logs) if logs else dict)
