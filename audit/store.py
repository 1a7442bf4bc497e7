"""How entries reach their table: COPY on PostgreSQL, one prepared statement on SQLite.

The ORM would build an object and a parameter list for each of the thousands; the columns are the model's all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from audit import rollups
from audit.models import Entry
from audit.rollups import Kind
from audit.search import terms

_FACTS = ("action", "agent", "decision", "posture", "remediation", "resource", "subject", "txn")
COLUMNS = ("index", "event_id", "type", "by", "occurred_at", "recorded_at", *_FACTS, "canon")
_RECORDED_AT = COLUMNS.index("recorded_at")
_KIND = [COLUMNS.index(name) for name in ("agent", "type", "decision", "resource")]
_RECORDED_AT = COLUMNS.index("recorded_at")
_TERMS = [(field, COLUMNS.index(field)) for field in terms.FIELDS]
_TABLE = Entry._meta.db_table
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_MARKS = ", ".join(["%s"] * len(COLUMNS))

Row = tuple[Any, ...]  # as COLUMNS; the last one is canon


def row(index: int, event: Mapping[str, Any], *, canon: bytes, recorded_at: datetime) -> Row:
    """Return the columns of an entry."""
    occurred_at = datetime.fromisoformat(event["occurred_at"])
    facts = (event[name] for name in _FACTS)
    return (index, event["id"], event["type"], event["by"], occurred_at, recorded_at, *facts, canon)


def recorded_at(row: Row) -> datetime:
    """Return when a row was numbered."""
    moment: datetime = row[_RECORDED_AT]
    return moment


def counted_as(row: Row) -> tuple[datetime, Kind]:
    """Return when a row was numbered, and what it is counted as."""
    return recorded_at(row), rollups.kind_of(*(row[at] for at in _KIND))


def insert_entries(rows: Sequence[Row]) -> None:
    """Insert entries in the caller's transaction, and note what values they have."""
    _insert(rows)
    terms.add(_terms(rows))


def _terms(rows: Sequence[Row]) -> Iterator[terms.Noted]:
    for row in rows:
        month = terms.month_of(row[_RECORDED_AT])
        for field, at in _TERMS:
            if row[at] is not None:
                yield field, row[at], month


def _insert(rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {_TABLE} ({_NAMES}) FROM STDIN") as copy:
                for each in rows:
                    copy.write_row(each)
            return
        adapt = connection.ops.adapt_datetimefield_value
        adapted = [(*each[:4], adapt(each[4]), adapt(each[5]), *each[6:]) for each in rows]
        cursor.executemany(f"INSERT INTO {_TABLE} ({_NAMES}) VALUES ({_MARKS})", adapted)  # noqa: S608
