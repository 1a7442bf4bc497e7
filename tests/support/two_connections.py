"""A database that several threads may use, whichever it is: SQLite's tests have theirs in memory, with one connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection


@pytest.fixture
def two_connections(transactional_db: None, tmp_path: Path) -> Iterator[Path | None]:
    """Put a file with the same tables in the place of SQLite's memory, and return it; PostgreSQL stays as it is."""
    if connection.vendor != "sqlite":
        yield None
        return
    path = tmp_path / "aims.sqlite3"
    connection.ensure_connection()
    memory, name = connection.connection, connection.settings_dict["NAME"]
    with sqlite3.connect(path) as file:
        memory.backup(file)
    file.close()
    connection.connection, connection.settings_dict["NAME"] = None, str(path)
    try:
        yield path
    finally:
        connection.close()
        connection.connection, connection.settings_dict["NAME"] = memory, name
