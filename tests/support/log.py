"""A log of its own for each test, and how a test may do what the database refuses.

``written_once`` belongs beside every test with real transactions: the test runner empties all tables after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction
from pytest_django import Settings

from audit import checkpoints
from audit.sequencer import Sequencer
from audit.triggers import every_statement, lifting
from audit.write import NOBODY, FailuresCounted, record

Recorder = Callable[[int], list[str]]


@pytest.fixture
def log_key(tmp_path: Path, settings: Settings) -> Ed25519PrivateKey:
    settings.LOG_KEY_FILE = str(tmp_path / "log.key")
    settings.CHECKPOINT_DIR = str(tmp_path / "checkpoints")
    settings.SECRET_KEY = "of the tests"
    checkpoints.create_log_key(checkpoints.key_path())
    return checkpoints.load_log_key(checkpoints.key_path())


@pytest.fixture
def sequencer(db: None, log_key: Ed25519PrivateKey) -> Sequencer:
    return Sequencer()


@pytest.fixture
def happen() -> Recorder:
    """Record so many events, each in a transaction of its own; return their ids."""

    def happen(count: int) -> list[str]:
        return [_happen(number) for number in range(count)]

    return happen


@pytest.fixture
def as_owner(db: None) -> Callable[..., None]:
    """Do to the tables what only their owner could: the refusals of the database are lifted first."""
    _execute(lifting(connection.vendor))

    def tamper(sql: str, *values: str | int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)

    return tamper


_lifted = False


@pytest.fixture(autouse=True)
def written_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep the refusals during every test, and lift them for the emptying after one with real transactions.

    Once lifted they are put back for each later test: inside its transaction, so its end takes them away again.
    """
    global _lifted
    marker = request.node.get_closest_marker("django_db")
    is_real = bool(marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames
    if is_real:
        request.getfixturevalue("transactional_db")  # first, so that its end comes after ours
        _execute(every_statement(connection.vendor))
    elif _lifted and (marker or "db" in request.fixturenames):
        request.getfixturevalue("db")
        _execute(every_statement(connection.vendor))
    yield
    if is_real:
        _execute(lifting(connection.vendor))
        _lifted = True


def _execute(sql: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in sql:
            cursor.execute(statement)


def _happen(number: int) -> str:
    event = FailuresCounted(source=f"src_{number}", code="invalid_client", count=1, minute="2026-11-23T21:00:00.000Z")
    with transaction.atomic():
        return record(event, by="system", facts=NOBODY)
