"""The sweeps as real tasks of a real deployment: in one process over a broker in memory. Scaled: tests/protocol/scaled."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aims.celery import SWEEPS, app
from aims.credentials.models import KeyPurpose
from tests.support.running import AimsServer, deployment
from tests.support.servers import free_port

WITHIN_S = 60

pytestmark = pytest.mark.embedded
# A month ago: signing keys whose turn is nearly over, and everything that a sweep throws away. Now: something to keep.
_LEFT = """
from datetime import timedelta
from aims.authentication.models import SpentProof
from aims.credentials.services import ensure_signing_keys
from aims.credentials.services.signing_keys import SIGNS_FOR
from aims.kit import clock
from aims.people.models import Ceremony
now = clock.now()
ensure_signing_keys(now - SIGNS_FOR + timedelta(minutes=5))
SpentProof.objects.create(client_ref="agt_1", jti_hash="old", expires_at=now - timedelta(minutes=1))
SpentProof.objects.create(client_ref="agt_1", jti_hash="new", expires_at=now + timedelta(hours=1))
Ceremony.objects.create(purpose="sign-in", bound_to="s", challenge=b"c", expires_at=now - timedelta(hours=1))
"""


@pytest.fixture
def left(tmp_path: Path) -> Iterator[AimsServer]:
    """A deployment that stood still for a month, about to start."""
    server = deployment(tmp_path, port=free_port())
    server.manage("shell", "-v0", "-c", _LEFT)
    yield server
    if server.process and server.process.poll() is None:
        server.stop()


def rows(server: AimsServer, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(server.var / "aims.sqlite3", timeout=30)) as database:
        return database.execute(query).fetchall()


def until(server: AimsServer, query: str, wanted: list[tuple[object, ...]]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (found := rows(server, query)) != wanted:
        assert time.monotonic() < deadline, f"{query}: {found}\n{server.log()}"
        time.sleep(0.2)


def test_every_sweep_is_a_task_that_beat_knows_and_is_due_at_the_start() -> None:
    app.loader.import_default_modules()
    assert SWEEPS.keys() <= app.tasks.keys()
    scheduler = app.Beat(quiet=True).Service(app, scheduler_cls="celery.beat:Scheduler").get_scheduler()
    assert {name for name, entry in scheduler.schedule.items() if entry.is_due().is_due} == set(SWEEPS)


def test_a_server_that_starts_does_what_became_due_without_it(left: AimsServer) -> None:
    assert rows(left, "SELECT jti_hash FROM authentication_spentproof ORDER BY 1") == [("new",), ("old",)]
    left.start()
    until(left, "SELECT jti_hash FROM authentication_spentproof", [("new",)])
    until(left, "SELECT count(*) FROM people_ceremony", [(0,)])
    purposes = "SELECT state, count(*) FROM credentials_signingkey GROUP BY 1 ORDER BY 1"
    until(left, purposes, [("published", len(KeyPurpose)), ("signing", len(KeyPurpose))])
    assert left.stop() == 0
