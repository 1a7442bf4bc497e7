"""Rows from one statement that PostgreSQL plans once a connection: past Django's cursor, which prepares nothing.

For the few statements that every token costs. Outside a transaction such a statement is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection

PREPARED_AFTER = 5  # executions; PgBouncer before 1.21 can't pool transactions of prepared statements


def is_possible() -> bool:
    """Return whether the database is PostgreSQL."""
    return connection.vendor == "postgresql"


def one_row(statement: str, parameters: Sequence[object]) -> tuple[Any, ...] | None:
    """Run a statement and return its first row, None where it gives none. Raises Django's database errors."""
    return next(iter(rows(statement, parameters)), None)


def rows(statement: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows. Raises Django's database errors."""
    connection.ensure_connection()
    raw = connection.connection
    raw.prepare_threshold = PREPARED_AFTER
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        return cursor.execute(statement, parameters).fetchall()
