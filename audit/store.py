"""How entries reach their table: COPY on PostgreSQL, one prepared statement on SQLite.

The ORM would build an object and a parameter list for each of the thousands; the columns are the model's all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from django.db import connection

from audit import rollups
from audit.models import Entry
from audit.rollups import Kind
from audit.search import terms

MOMENTS_KEPT = 1_024  # what is numbered together has one
_FACTS = ("action", "agent", "decision", "posture", "remediation", "resource", "subject", "txn")
COLUMNS = ("index", "event_id", "type", "by", "occurred_at", "recorded_at", *_FACTS, "canon")
_facts = itemgetter(*_FACTS)
_KIND = [COLUMNS.index(name) for name in rollups.KIND]
_RECORDED_AT = COLUMNS.index("recorded_at")
_MONTH = len("2026-11")
_TERMS = [(field, COLUMNS.index(field)) for field in terms.FIELDS]
_TABLE = Entry._meta.db_table
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_MARKS = ", ".join(["%s"] * len(COLUMNS))

Row = tuple[Any, ...]  # as COLUMNS, moments as entries spell them; the last one is canon


def row(index: int, event: Mapping[str, Any], *, canon: bytes, recorded_at: str) -> Row:
    """Return the columns of an entry."""
    return (index, event["id"], event["type"], event["by"], event["occurred_at"], recorded_at, *_facts(event), canon)


def recorded_at(row: Row) -> datetime:
    """Return when a row was numbered."""
    return _moment(row[_RECORDED_AT])


def counted_as(row: Row) -> tuple[datetime, Kind]:
    """Return when a row was numbered, and what it is counted as."""
    return recorded_at(row), rollups.kind_of(*(row[at] for at in _KIND))


def insert_entries(rows: Sequence[Row]) -> None:
    """Insert entries in the caller's transaction, and note what values they have."""
    _insert(rows)
    terms.add(_terms(rows))


def _terms(rows: Sequence[Row]) -> Iterator[terms.Noted]:
    for _, together in itertools.groupby(rows, key=lambda row: row[_RECORDED_AT][:_MONTH]):
        columns = list(zip(*together, strict=True))
        month = terms.month_of(_moment(columns[_RECORDED_AT][0]))
        for field, at in _TERMS:
            yield from ((field, value, month) for value in set(columns[at]) if value is not None)


def _insert(rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {_TABLE} ({_NAMES}) FROM STDIN") as copy:
                for each in rows:
                    copy.write_row(each)
            return
        adapted = [(*each[:4], _adapted(each[4]), _adapted(each[5]), *each[6:]) for each in rows]
        cursor.executemany(f"INSERT INTO {_TABLE} ({_NAMES}) VALUES ({_MARKS})", adapted)  # noqa: S608


def _adapted(moment: str) -> str | None:
    return connection.ops.adapt_datetimefield_value(_moment(moment))


@lru_cache(maxsize=MOMENTS_KEPT)
def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
