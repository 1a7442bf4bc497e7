"""The log: appending by several writers, and how long an entry waits for its signed checkpoint. Design section 10."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

from django.db import connection, transaction

from audit import checkpoints, read
from audit.models import Checkpoint
from audit.sequencer import Sequencer
from audit.write import NOBODY, FailuresCounted, inbox_payload, record, record_alone
from tests.bench.cases import Case, Figure, case, figure, waits

WRITERS = 8
EACH = 200
ROUNDS = 9
LATENCIES = 60
_RAW = "CREATE TABLE IF NOT EXISTS bench_raw (id bigserial PRIMARY KEY, payload bytea NOT NULL)"
_EVENT = FailuresCounted(source="127.0.0.1", code="bench", minute="0", count=1)
_PAYLOAD = inbox_payload(_EVENT, by="system", facts=NOBODY)  # as long as what the other side writes


def _event() -> FailuresCounted:
    return FailuresCounted(source="127.0.0.1", code="bench", minute="0", count=1)


def _entry() -> str:
    return record_alone(_event(), by="system", facts=NOBODY)


def _entry_beside() -> None:
    with transaction.atomic():
        record(_event(), by="system", facts=NOBODY)


def _raw() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_raw (payload) VALUES (%s)", [_PAYLOAD])


def _raw_beside() -> None:
    with transaction.atomic():
        _raw()


def _append(ours: Callable[[], object], raw: Callable[[], object]) -> tuple[float, float]:
    with connection.cursor() as cursor:
        cursor.execute(_RAW)
    rates: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS + 1):
        for kept, call in zip(rates, (ours, raw), strict=True):
            rate = _together(call)
            if round_:
                kept.append(rate)
    return statistics.median(rates[0]), statistics.median(rates[1])


def _together(call: Callable[[], object]) -> float:
    def write() -> None:
        try:
            for _ in range(EACH):
                call()
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return WRITERS * EACH / (time.perf_counter() - began)


def _waits() -> list[float]:
    """Return how long each of some entries waited, in seconds, with the sequencer running beside."""
    checkpoints.create_log_key(checkpoints.key_path())
    stop = threading.Event()
    runner = threading.Thread(target=Sequencer().run, args=(stop,))
    runner.start()
    try:
        while not Checkpoint.objects.exists():
            time.sleep(0.01)
        _wait_of_one()  # behind whatever other cases left in the inbox
        return [_wait_of_one() for _ in range(LATENCIES)]
    finally:
        stop.set()
        runner.join()


def _wait_of_one() -> float:
    event, began = _entry(), time.perf_counter()
    while (index := read.index_of(event)) is None or read.latest_checkpoint().size <= index:
        time.sleep(0.002)
    return time.perf_counter() - began


case(
    Case(
        name=f"audit append, {WRITERS} writers",
        baseline="raw inserts",
        bar=0.8,
        measure=lambda: _append(_entry, _raw),
    )
)
case(
    Case(
        name="... in a transaction",
        baseline="raw in another",
        bar=0.8,
        measure=lambda: _append(_entry_beside, _raw_beside),
    )
)
figure(Figure(name="entry to signed checkpoint", measure=lambda: waits(_waits(), p50=1000, p99=1000)))
