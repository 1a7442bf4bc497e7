"""``python -m tests.faults.kill_nine.by_hand --seconds 120``: a load of tokens while the server and PostgreSQL die and hang.

Prints what it saw; ends with 1 where something answered is missing, or anything is there twice.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.faults.kill_nine.mortal import MortalPostgres, mortal_postgres

if TYPE_CHECKING:
    from tests.faults.kill_nine.takers import Tally
    from tests.faults.kill_nine.tokens import Served

EVERY_S = 6.0
HANGS_S = 10.0  # longer than the committer waits


def main(seconds: float, approvals: int) -> int:
    """Run for so long; return 1 where something does not hold."""
    with mortal_postgres() as database, tempfile.TemporaryDirectory() as var:
        os.environ |= {
            "AIMS_TEST_ON": "postgres",
            "TEST_DATABASE_URL": database.url,
            "TEST_REDIS_URL": "",
            "AIMS_VAR_DIR": var,
            "DJANGO_SETTINGS_MODULE": "tests.support.settings",
        }
        import django

        django.setup()
        return _run(database, seconds, approvals)


def _run(database: MortalPostgres, seconds: float, approvals: int) -> int:
    from django.core.management import call_command
    from django.db import connection

    from aims.authorization.services import opening
    from tests.faults.kill_nine import tokens
    from tests.protocol.ciba.conftest import standing_door
    from tests.unit.approvals.stage import LOG_KEY

    call_command("migrate", verbosity=0)
    opening.NEW_MAX_PAIR_PER_MINUTE = opening.OPEN_MAX_PAIR = opening.OPEN_MAX_AGENT = opening.OPEN_MAX_APPROVER = 10**6
    door = standing_door()
    approved = []
    for _ in range(approvals):
        approved.append(door.asked(requested_expiry="3600"))
        door.approve()
    connection.close()
    server = tokens.Served(database.url)
    server.start()
    counted: dict[str, int] = {}
    trouble = _trouble(server, database, seconds, counted)
    tally = tokens.under_load(door.courier, approved, server.port, trouble)
    server.stop()
    found = tokens.faults(tally, LOG_KEY)
    print(tokens.summary(tally), counted)
    for fault in found:
        print("FAULT:", fault)
    connection.close()
    return bool(found)


def _trouble(
    server: Served, database: MortalPostgres, seconds: float, counted: dict[str, int]
) -> Callable[[Tally], None]:
    def kill_server() -> None:
        server.kill()
        server.start()

    def kill_database() -> None:
        database.kill()
        time.sleep(random.uniform(0, 2))
        database.start()

    def kill_both() -> None:
        threads = [threading.Thread(target=each.kill) for each in (server, database)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        database.start()
        server.start()

    def hang() -> None:
        database.hang()
        time.sleep(HANGS_S)
        database.go_on()

    def trouble(tally: Tally) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(random.uniform(0.5, 1.5) * EVERY_S)
            for each in random.sample([kill_server, kill_database, kill_both, hang], 1):
                before = len(tally.answered)
                each()
                counted[each.__name__] = counted.get(each.__name__, 0) + 1
                deadline = time.monotonic() + 30
                while len(tally.answered) < before + 10 and time.monotonic() < deadline:
                    time.sleep(0.05)
                if time.monotonic() >= deadline:
                    tally.wrong.append(f"it did not recover by itself after {each.__name__}")

    return trouble


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--approvals", type=int, default=300)
    options = parser.parse_args()
    sys.exit(main(options.seconds, options.approvals))
