"""What must happen once: a DPoP proof is shown once, an approval is used once.

The insert is the check, so of two equal calls at once one wins. A look and then a mark would be a race.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

from .errors import Unavailable

REMEMBERED_MAX = 1_000_000
SWEEP_EVERY_S = 60
WAIT_MAX_S = 10


@dataclass(frozen=True, kw_only=True)
class Use:
    """Something that counts once. earliest, latest: NumericDates between which it can be accepted at all.

    Before ``earliest`` nobody can have used it, and after ``latest`` the checks refuse it whether it was used or not.
    """

    kind: Literal["proof", "approval"]
    name: str
    earliest: float
    latest: float


class Seen(Enum):
    """What a memory answers."""

    NEW = "new"  # and from now on it is used
    USED = "used"
    UNKNOWN = "unknown"  # it may have been used before this memory began


class Memory(Protocol):
    """Remembers uses. Raises Unavailable where it can't."""

    def is_used(self, use: Use) -> bool:
        """Return whether it was used already: only to refuse early, before somebody else is asked. ``spend`` decides."""
        ...

    def spend(self, use: Use, *, now: float) -> Seen:
        """Return whether this is the first time; it counts as used from now on."""
        ...


class InProcess:
    """The memory of one process, gone with it. began_at: NumericDate at which the process began to serve.

    What could have been used before that is UNKNOWN, so a fresh process refuses DPoP proofs in its first ten seconds.
    Several processes of one API remember apart from each other: they need a shared memory, such as InFile.
    """

    def __init__(self, *, began_at: float) -> None:
        self._began_at = began_at
        self._latest: dict[tuple[str, str], float] = {}
        self._swept_at = began_at
        self._lock = threading.Lock()

    def is_used(self, use: Use) -> bool:
        """Return whether it was used already."""
        return (use.kind, use.name) in self._latest

    def spend(self, use: Use, *, now: float) -> Seen:
        """Return whether this is the first time."""
        if use.earliest < self._began_at:
            return Seen.UNKNOWN
        key = (use.kind, use.name)
        with self._lock:
            self._sweep(now)
            if key in self._latest:
                return Seen.USED
            self._latest[key] = use.latest
            return Seen.NEW

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_EVERY_S:
            self._latest = {key: latest for key, latest in self._latest.items() if latest >= now}
            self._swept_at = now
        if len(self._latest) >= REMEMBERED_MAX:
            raise Unavailable("the memory is full")


class InFile:
    """A memory in a SQLite file: over restarts, and between the processes of one machine.

    Keep the file as you keep a ledger: whoever loses or restores it lets what it knew happen again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._swept_at = 0.0
        with self._open() as book:
            book.execute(
                "CREATE TABLE IF NOT EXISTS used (kind TEXT, name TEXT, latest REAL NOT NULL, PRIMARY KEY (kind, name))"
                " WITHOUT ROWID"
            )
            book.execute("CREATE INDEX IF NOT EXISTS used_latest ON used (latest)")

    def is_used(self, use: Use) -> bool:
        """Return whether it was used already."""
        with self._open() as book:
            found = book.execute("SELECT 1 FROM used WHERE kind = ? AND name = ?", (use.kind, use.name))
            return found.fetchone() is not None

    def spend(self, use: Use, *, now: float) -> Seen:
        """Return whether this is the first time. It is on the disk before this returns."""
        with self._open() as book:
            if now - self._swept_at >= SWEEP_EVERY_S:
                book.execute("DELETE FROM used WHERE latest < ?", (now,))
                self._swept_at = now
            done = book.execute(
                "INSERT INTO used VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (use.kind, use.name, use.latest)
            )
            return Seen.NEW if done.rowcount == 1 else Seen.USED

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give a connection with a write transaction. A crash inside leaves nothing; the answer was not given yet."""
        try:
            book = sqlite3.connect(self._path, timeout=WAIT_MAX_S, isolation_level=None)
            try:
                book.execute("PRAGMA synchronous=FULL")
                book.execute("BEGIN IMMEDIATE")  # waits its turn; a read that later wants to write could not
                yield book
                book.execute("COMMIT")
            finally:
                book.close()
        except sqlite3.Error as error:
            raise Unavailable("the memory does not answer") from error
