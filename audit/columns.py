"""Whether the columns of an entry repeat what its bytes say: read in bulk, compared without parsing.

The members around ``data`` are written again from the columns. Neither part can be imitated from inside ``data``: a
quote in there is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from audit import tiles as widths

Row = tuple[Any, ...]  # as _COLUMNS

ROWS_AT_ONCE = 16 * widths.WIDTH
WORDS_KEPT = 10_000
_COLUMNS = (
    "index", "canon", "action", "agent", "by", "decision", "event_id", "occurred_at", "posture", "recorded_at",
    "remediation", "resource", "subject", "txn", "type",
)  # fmt: skip
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SQL = f'SELECT {_NAMES} FROM audit_entry WHERE "index" >= %s AND "index" < %s ORDER BY "index" LIMIT %s'  # noqa: S608
_quote = json.encoder.encode_basestring


def tiles(start: int, end: int) -> Iterator[list[Row]]:
    """Yield the rows of one tile after the other, from ``start``. Read a page at a time, so that memory stays flat."""
    while rows := _page(start, end):
        for at in range(0, len(rows), widths.WIDTH):
            yield rows[at : at + widths.WIDTH]
        if len(rows) < ROWS_AT_ONCE:
            return
        start = rows[-1][0] + 1


class Agreement:
    """Compares rows. Words come again and again, so their JSON spelling is kept."""

    def __init__(self) -> None:
        self._words = _Words()

    def first_wrong(self, rows: Sequence[Row]) -> Row | None:
        """Return the first row whose columns say something else than its bytes."""
        words = self._words
        if len(words) > WORDS_KEPT:
            words.clear()
        recorded_at, recorded = None, ""
        for row in rows:
            canon, action, agent, by, decision, event, occurred, posture, at, ended, resource, subject, txn, kind = row[
                1:
            ]
            if at != recorded_at:
                recorded_at, recorded = at, _moment(at)
            head = f'{{"action":{words[action]},"agent":{words[agent]},"by":{words[by]},"data":{{'
            tail = (
                f'}},"decision":{words[decision]},"id":{_quote(event)},"occurred_at":"{_moment(occurred)}",'
                f'"posture":{words[posture]},"recorded_at":"{recorded}","remediation":{words[ended]},'
                f'"resource":{words[resource]},"subject":{words[subject]},"txn":{words[txn]},'
                f'"type":{words[kind]},"v":1}}'
            )
            if not (canon.startswith(head.encode()) and canon.endswith(tail.encode())):
                return row
        return None


class _Words(dict[str | None, str]):
    def __missing__(self, word: str | None) -> str:
        self[word] = spelled = "null" if word is None else _quote(word)
        return spelled


def _moment(value: datetime | str) -> str:
    text = value if isinstance(value, str) else value.isoformat()
    return f"{text[:10]}T{text[11:19]}.{text[20:23] if text[19:20] == '.' else '000'}Z"


def _page(start: int, end: int) -> list[Row]:
    values = (start, end, ROWS_AT_ONCE)
    if connection.vendor == "postgresql":
        return _binary_page(values)
    with connection.cursor() as cursor:
        cursor.execute(_SQL, values)
        return list(cursor.fetchall())


def _binary_page(values: tuple[int, int, int]) -> list[Row]:
    """Read past Django's cursor, which knows only the text format: half the work for bytes and moments."""
    from psycopg import Cursor

    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.execute(_SQL, values, binary=True)
        return list(cursor.fetchall())
