"""What a witness remembers: the checkpoint it cosigned last, for each log. Its own SQLite file, no other database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from audit.merkle import EMPTY_ROOT
from audit.witness.request import Held

BUSY_MS = 5_000
NOTHING = Held(0, EMPTY_ROOT, 0)
_TABLE = """CREATE TABLE IF NOT EXISTS cosigned (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL CHECK (size >= 0), root BLOB NOT NULL CHECK (length(root) = 32),
    cosigned_at INTEGER NOT NULL, note TEXT NOT NULL) STRICT"""


class Memory:
    """The file. Each call opens it anew, so that any thread, and any process, may ask."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)

    def advance(self, origin: str, judge: Callable[[Held], tuple[Held, str]]) -> None:
        """Replace what is held for a log by what ``judge`` makes of it, atomically; durable when it returns.

        judge: gets what is held, returns what will be, with the note to serve; its refusal leaves everything as it was.
        tlog-witness, add-checkpoint: the check of the old size and the storing must be one step, and before the answer.
        """
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                held, note = judge(self._held(connection, origin))
                connection.execute(
                    "INSERT INTO cosigned VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET size = excluded.size, "
                    "root = excluded.root, cosigned_at = excluded.cosigned_at, note = excluded.note",
                    (origin, held.size, held.root, held.at, note),
                )
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def notes(self) -> dict[str, str]:
        """Return the cosigned checkpoint of each log, by origin."""
        with closing(self._open()) as connection:
            return dict(connection.execute("SELECT origin, note FROM cosigned"))

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=BUSY_MS / 1000)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _held(self, connection: sqlite3.Connection, origin: str) -> Held:
        row = connection.execute("SELECT size, root, cosigned_at FROM cosigned WHERE origin = ?", (origin,)).fetchone()
        return Held(*row) if row else NOTHING
