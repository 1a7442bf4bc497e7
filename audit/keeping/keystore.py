"""The store of people's keys, outside the database and its backups: to destroy a key there is to erase what it sealed
everywhere, in every copy of the database that anybody ever made.

``AIMS_PERSON_KEYS`` is the path of a SQLite file, or the address of another PostgreSQL. It also remembers who was erased
(a *tombstone*), so that a restored database learns it again. Keep no copies of it that are older than you may need to
keep a promise of erasure: an old copy holds destroyed keys.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from audit.keeping import sealing
from audit.keeping.errors import KeysUnavailable, PersonErased

CONNECT_WITHIN_S = 3
WAIT_S = 5.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS person_key (person TEXT PRIMARY KEY, key_id TEXT NOT NULL, wrapped {bytes} NOT NULL)",
    "CREATE TABLE IF NOT EXISTS erased_person (person TEXT PRIMARY KEY, erased_at TEXT NOT NULL)",
)
_LOCK = 0x41494D53_504B  # "AIMSPK"


@dataclass(frozen=True)
class Tombstone:
    """That a person was erased, and when."""

    person: str
    erased_at: datetime


def key_for(person: str) -> bytes:
    """Return the key of a person, made when they have none. It is on the disk before it seals anything.

    Raises: KeysUnavailable, KeyBroken, PersonErased.
    """
    if (held := key_of(person)) is not None:
        return held
    key_id = f"pk_{secrets.token_hex(10)}"
    wrapped = sealing.seal(sealing.new_key(), key=sealing.keks()[0], purpose=_purpose(person, key_id))
    with _open() as store:
        store.alone()
        if store.ask("SELECT 1 FROM erased_person WHERE person = ?", person):
            raise PersonErased(f"{person} was erased: nothing personal is recorded any more")
        store.do("INSERT INTO person_key VALUES (?, ?, ?) ON CONFLICT (person) DO NOTHING", person, key_id, wrapped)
        rows = store.ask("SELECT key_id, wrapped FROM person_key WHERE person = ?", person)
    return _unwrapped(person, *rows[0])


def key_of(person: str) -> bytes | None:
    """Return the key of a person, or None where they have none. Raises: KeysUnavailable, KeyBroken."""
    with _open() as store:
        rows = store.ask("SELECT key_id, wrapped FROM person_key WHERE person = ?", person)
    return _unwrapped(person, *rows[0]) if rows else None


def hash_of(person: str) -> str:
    """Return the SHA-256 of the id of a person's key, hexadecimal; empty where they have none. Raises: KeysUnavailable."""
    with _open() as store:
        rows = store.ask("SELECT key_id FROM person_key WHERE person = ?", person)
    return hashlib.sha256(str(rows[0][0]).encode()).hexdigest() if rows else ""


def destroy(person: str, *, now: datetime) -> None:
    """Destroy a person's key and remember that they were erased, both or neither. Twice is once.

    Raises: KeysUnavailable.
    """
    with _open() as store:
        store.alone()
        store.do("DELETE FROM person_key WHERE person = ?", person)
        moment = now.astimezone(UTC).isoformat()
        store.do("INSERT INTO erased_person VALUES (?, ?) ON CONFLICT (person) DO NOTHING", person, moment)
    with _open() as store:
        store.forget()


def tombstones() -> list[Tombstone]:
    """Return everybody who was erased, the first first. Raises: KeysUnavailable."""
    with _open() as store:
        rows = store.ask("SELECT person, erased_at FROM erased_person ORDER BY erased_at, person")
    return [Tombstone(person, datetime.fromisoformat(moment)) for person, moment in rows]


def check() -> None:
    """Check that the store is safe to use. Raises: ValueError saying what to set, KeysUnavailable."""
    address = settings.PERSON_KEYS
    if _is_database(address):
        mine, theirs = settings.DATABASES["default"], urlsplit(address)
        same = (mine.get("HOST"), str(mine.get("PORT") or 5432), mine.get("NAME"))
        if same == (theirs.hostname, str(theirs.port or 5432), theirs.path.lstrip("/")):
            raise ValueError("is the database itself: its backups would keep what was erased. Give it one of its own")
    elif Path(address).exists() and Path(address).stat().st_mode & 0o077:
        raise ValueError(f"others may read {address}. Say: chmod 600 {address}")
    with _open() as store:
        store.ask("SELECT 1 FROM erased_person WHERE person = ?", "")


def rewrap() -> int:
    """Seal every key under the first ``AIMS_KEK``; return how many. Raises: KeysUnavailable, KeyBroken."""
    with _open() as store:
        store.alone()
        rows = store.ask("SELECT person, key_id, wrapped FROM person_key")
        for person, key_id, wrapped in rows:
            purpose = _purpose(person, key_id)
            again = sealing.seal(_unwrapped(person, key_id, wrapped), key=sealing.keks()[0], purpose=purpose)
            store.do("UPDATE person_key SET wrapped = ? WHERE person = ? AND key_id = ?", again, person, key_id)
    return len(rows)


def _unwrapped(person: str, key_id: str, wrapped: bytes) -> bytes:
    return sealing.unseal(bytes(wrapped), keys=sealing.keks(), purpose=_purpose(person, key_id))


def _purpose(person: str, key_id: str) -> str:
    return f"audit.person_key:{person}:{key_id}"


class _Store:
    """One transaction on the store."""

    def __init__(self, connection: Any, *, is_file: bool) -> None:
        self._connection, self._is_file = connection, is_file

    def ask(self, sql: str, *values: str | bytes) -> Sequence[Any]:
        rows: Sequence[Any] = self._connection.execute(self._spelled(sql), values).fetchall()
        return rows

    def do(self, sql: str, *values: str | bytes) -> None:
        self._connection.execute(self._spelled(sql), values)

    def alone(self) -> None:
        """Wait until nobody else writes: a key is never made while its person is erased."""
        self._connection.execute("BEGIN IMMEDIATE" if self._is_file else f"SELECT pg_advisory_xact_lock({_LOCK})")

    def forget(self) -> None:
        """Overwrite what was deleted. SQLite has done so (``secure_delete``); PostgreSQL vacuums its little table."""
        if not self._is_file:
            self._connection.commit()
            self._connection.autocommit = True
            self._connection.execute("VACUUM person_key")

    def _spelled(self, sql: str) -> str:
        return sql if self._is_file else sql.replace("?", "%s")


@contextmanager
def _open() -> Iterator[_Store]:
    """Open the store for one transaction: no key stays in a pool or a cache. Raises: KeysUnavailable."""
    address = settings.PERSON_KEYS
    try:
        is_file = not _is_database(address)
        connection = _file(Path(address)) if is_file else _database(address)
    except _errors() + (OSError,) as error:
        raise KeysUnavailable(f"the store of people's keys does not answer: {type(error).__name__}") from error
    try:
        yield _Store(connection, is_file=is_file)
        connection.commit()
    except _errors() as error:
        raise KeysUnavailable(f"the store of people's keys does not answer: {type(error).__name__}") from error
    finally:
        with suppress(*_errors()):
            connection.close()  # what was not committed is undone


def _is_database(address: str) -> bool:
    return address.startswith(("postgresql://", "postgres://"))


def _file(path: Path) -> sqlite3.Connection:
    is_new = not path.exists()
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    # A rollback journal that is cut to nothing, and no write-ahead log: a destroyed key stays in no file beside this one.
    connection.executescript("PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=EXTRA; PRAGMA secure_delete=ON;")
    if is_new or not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        connection.executescript("; ".join(_TABLES).format(bytes="BLOB"))
    return connection


def _database(address: str) -> Any:
    import psycopg

    connection = psycopg.connect(address, connect_timeout=CONNECT_WITHIN_S, options="-c synchronous_commit=on")
    if connection.execute("SELECT to_regclass('erased_person')").fetchone() == (None,):
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})".encode())
        for table in _TABLES:
            connection.execute(table.format(bytes="BYTEA").encode())
        connection.commit()
    return connection


def _errors() -> tuple[type[Exception], ...]:
    try:
        import psycopg
    except ImportError:
        return (sqlite3.Error,)
    return (sqlite3.Error, psycopg.Error)
