"""Fill the log of a database with a fleet's year: the room's own bytes, tiles, counts and checkpoints, only faster.

By hand: ``python tests/bench/filling.py --entries 10000000 postgresql://…`` on an empty database. It migrates, and leaves the
key of the log's checkpoints in ``--var``. Never on a database that is in use: what it writes never happened.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

BATCH = 4_096
YEAR = timedelta(days=365)
NUMBERED_AFTER = timedelta(milliseconds=40)
_SAID_EVERY = 250_000
_CHECKED_EVERY = 97
_spell = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fill(entries: int, *, ends_at: datetime, seed: int = 1, say: Callable[[str], None] = lambda line: None) -> int:
    """Write about so many entries of the year that ends at a moment, a checkpoint a batch; return the log's size."""
    from django.db import transaction

    from audit import checkpoints, partitions, tree
    from tests.bench.fleet import Fleet

    key = _key()
    begins_at = ends_at - YEAR
    partitions.ensure(begins_at, ends_at)
    with _clock_at(begins_at):
        log = checkpoints.open_log(key)
    fleet = Fleet(seed=seed, begins_at=begins_at + timedelta(seconds=1), ends_at=ends_at, entries=entries)
    done, began, published = 0, time.perf_counter(), None
    for batch in _batches(fleet):
        with transaction.atomic():
            head = tree.head_locked()
            assert head is not None
            tree.insert(head, _rows(head.base + head.size, batch))
        with _clock_at(batch[-1].at):
            published = checkpoints.sign(log, key, floor=published)
        if (done + len(batch)) // _SAID_EVERY > done // _SAID_EVERY:
            say(f"{done + len(batch):>12,} entries, {(done + len(batch)) / (time.perf_counter() - began):,.0f}/s")
        done += len(batch)
    partitions.close(tree.moment())
    return done


def _batches(fleet: Any) -> Iterator[list[Any]]:
    """Yield steps in batches, none of which holds two months."""
    batch: list[Any] = []
    for step in fleet.told():
        if batch and (len(batch) == BATCH or batch[-1].at.month != step.at.month):
            yield batch
            batch = []
        batch.append(step)
    if batch:
        yield batch


def _rows(start: int, batch: list[Any]) -> list[Any]:
    from audit import store
    from audit.payload import with_recorded_at
    from audit.write import build, stamp

    rows = []
    for index, step in enumerate(batch, start):
        at = step.at.replace(microsecond=step.at.microsecond // 1000 * 1000)
        recorded_at, event_id, occurred_at = stamp(at + NUMBERED_AFTER), _event_id(at, index), stamp(at)
        said = {
            "id": event_id, "type": step.event.type, "by": step.by, "occurred_at": occurred_at, "v": 1,
            **vars(step.facts), "data": vars(step.event),
        }  # fmt: skip
        payload = _spell(said).encode()
        if index % _CHECKED_EVERY == 0:  # the C encoder says of these what the room's own would say
            assert payload == build(
                step.event, event_id=event_id, by=step.by, facts=step.facts, occurred_at=occurred_at
            )
        rows.append(store.row(index, said, canon=with_recorded_at(payload, recorded_at), recorded_at=recorded_at))
    return rows


def _event_id(at: datetime, index: int) -> str:
    text = f"{int(at.timestamp() * 1000):012x}7{index & 0xFFF:03x}8{index:015x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _key() -> Any:
    from audit import checkpoints

    path = checkpoints.key_path()
    if not path.exists():
        checkpoints.create_log_key(path)
    return checkpoints.load_log_key(path)


@contextmanager
def _clock_at(moment: datetime) -> Iterator[None]:
    """Let the checkpoints believe that it is another time."""
    from audit import checkpoints

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return moment.astimezone(tz)

    checkpoints.datetime = Then  # type: ignore[attr-defined]
    try:
        yield
    finally:
        checkpoints.datetime = datetime  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", help="the address of an empty PostgreSQL database")
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--var", type=Path, default=Path("var/filled"))
    asked = parser.parse_args()
    os.environ |= {
        "AIMS_NO_BOOTSTRAP": "1",
        "AIMS_TEST_ON": "postgres",
        "AIMS_VAR_DIR": str(asked.var),
        "DJANGO_SETTINGS_MODULE": "tests.support.settings",
        "TEST_DATABASE_URL": asked.database,
        "TEST_REDIS_URL": "",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(asked.entries, ends_at=datetime.now(UTC), seed=asked.seed, say=print)


if __name__ == "__main__":
    main()
