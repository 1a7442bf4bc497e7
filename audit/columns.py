"""Whether the columns of an entry repeat what its bytes say: read in bulk, compared without parsing.

The members around ``data`` are written again from the columns. Neither part can be imitated from inside ``data``: a
quote in there is escaped. Most columns hold words that come again and again, so the spelling of each combination is kept,
and what is new with every entry (its id, moment, transaction) is filled in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from audit import tiles as widths

Row = tuple[Any, ...]  # as _COLUMNS

TILES_AT_ONCE = 256  # of level 0: what one tile of level 1 stands for
ROWS_AT_ONCE = TILES_AT_ONCE * widths.WIDTH
ROWS_IN_A_CHUNK = 1_000  # as libpq hands them over
KEPT_MAX = 10_000
INDEX, CANON, EVENT, OCCURRED, RECORDED, TXN, WORDS = range(7)
_WORDS = ("action", "agent", "by", "decision", "posture", "remediation", "resource", "subject", "type")
_COLUMNS = ("index", "canon", "event_id", "occurred_at", "recorded_at", "txn", *_WORDS)
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SQL = f'SELECT {_NAMES} FROM audit_entry WHERE "index" >= %s AND "index" < %s ORDER BY "index"'  # noqa: S608
# SQLite keeps moments as text; they are compared as the numbers that PostgreSQL sends: microseconds since 2000.
_MICROS = "coalesce((strftime('%%s', {0}) - 946684800) * 1000000 + CAST(substr({0} || '.000000', 21, 6) AS INTEGER), 1)"
_SQL_TEXT = _SQL.replace('"occurred_at"', _MICROS.format("occurred_at")).replace(
    '"recorded_at"', _MICROS.format("recorded_at")
)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_THOUSANDTHS = {ms * 1000: f'.{ms:03d}Z"' for ms in range(1000)}
_quote = json.encoder.encode_basestring


def rows(start: int, end: int) -> Iterator[Row]:
    """Yield rows by their index. On PostgreSQL they stream: the server reads on while this side computes."""
    if connection.vendor == "postgresql":
        yield from _streamed(start, end)
        return
    with connection.cursor() as cursor:
        cursor.execute(_SQL_TEXT, (start, end))
        yield from iter(cursor.fetchone, None)


class Agreement:
    """Compares rows."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str | None, ...], _Frame] = {}
        self._seconds: dict[int, str] = {}

    def first_wrong(self, compared: Sequence[Row]) -> Row | None:
        """Return the first row whose columns say something else than its bytes."""
        frames, seconds, thousandths, quote = self._frames, self._seconds, _THOUSANDTHS, _quote
        if len(frames) > KEPT_MAX or len(seconds) > KEPT_MAX:
            frames.clear()
            seconds.clear()
        last, recorded = None, ""
        for row in compared:
            _, canon, event, occurred, at, txn = row[:WORDS]
            if (frame := frames.get(row[WORDS:])) is None:
                frame = frames[row[WORDS:]] = _frame(row[WORDS:])
            if at != last:
                last, recorded = at, _spelled(_whole(at))
            head, first, second, third, fourth, fifth = frame
            whole, micros = divmod(occurred, 1_000_000)
            if (moment := seconds.get(whole)) is None:
                moment = seconds[whole] = _second(whole)
            spelled = "null" if txn is None else quote(txn)
            tail = f"{first}{quote(event)}{second}{moment}{thousandths.get(micros)}{third}{recorded}{fourth}{spelled}{fifth}"
            if not (canon.endswith(tail.encode()) and canon.startswith(head)):
                return row
        return None


def wrong_column(row: Row) -> str:
    """Return the name of the first column that says something else than the bytes, or ``canon`` if it can't be told."""
    try:
        said = json.loads(row[CANON])
    except ValueError:
        return "canon"
    held = dict(zip(_COLUMNS, row, strict=True))
    for name in ("event_id", "type", *(each for each in _WORDS if each != "type"), "txn"):
        if said.get("id" if name == "event_id" else name) != held[name]:
            return name
    for name in ("occurred_at", "recorded_at"):
        if f'"{said.get(name)}"' != _spelled(_whole(held[name]) if name == "recorded_at" else held[name]):
            return name
    return "canon"


_Frame = tuple[bytes, str, str, str, str, str]


def _frame(words: tuple[str | None, ...]) -> _Frame:
    """Return what stands around the changing parts: the head, then the pieces of the tail."""
    said = {name: "null" if word is None else _quote(word) for name, word in zip(_WORDS, words, strict=True)}
    head = f'{{"action":{said["action"]},"agent":{said["agent"]},"by":{said["by"]},"data":{{'
    return (
        head.encode(),
        f'}},"decision":{said["decision"]},"id":',
        ',"occurred_at":',
        f',"posture":{said["posture"]},"recorded_at":',
        f',"remediation":{said["remediation"]},"resource":{said["resource"]},"subject":{said["subject"]},"txn":',
        f',"type":{said["type"]},"v":1}}',
    )


def _whole(micros: int) -> int:
    """Return a moment without what is below a millisecond."""
    return micros - micros % 1000


def _spelled(micros: int) -> str:
    """Return a moment as entries spell it; one between milliseconds like no entry does."""
    return _second(micros // 1_000_000) + str(_THOUSANDTHS.get(micros % 1_000_000))


def _second(since: int) -> str:
    return f'"{(_EPOCH + timedelta(seconds=since)).isoformat()[:19]}'


def _streamed(start: int, end: int) -> Iterator[Row]:
    """Read past Django's cursor, which knows only the text format, and take moments as the numbers they are sent as."""
    from psycopg import Cursor
    from psycopg.types.numeric import Int8BinaryLoader

    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
        # A page at a time: the index gives the order, and a whole log would be sorted on disk.
        for at in range(start, end, ROWS_AT_ONCE):
            values = (at, min(at + ROWS_AT_ONCE, end))
            yield from cursor.stream(_SQL, values, binary=True, size=ROWS_IN_A_CHUNK)
