"""The months of the log: on PostgreSQL ``audit_entry`` is one table a month, so that old months can go as a whole.

``recorded_at`` never falls, so a month is also a span of indexes. Whoever numbers entries makes the months ahead; a month
that is over is *closed*: it gets the indexes that would cost too much while it grows, and a constraint that tells the
planner which indexes lie in it. SQLite keeps one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection, transaction

from audit.triggers import refuse_truncate

MONTHS_AHEAD = 3
_LOCK = 0x41494D53_4D4F4E  # "AIMSMON"


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """Return the month that a moment lies in."""
        at = moment.astimezone(UTC)
        return cls(at.year, at.month)

    def later(self, months: int) -> Month:
        """Return the month so many months after this one."""
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def begins_at(self) -> datetime:
        """The first moment of the month."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def table(self) -> str:
        """The name of the month's table."""
        return f"audit_entry_{self.year:04d}_{self.month:02d}"


@dataclass(frozen=True)
class Partition:
    """A month's table as the database has it. is_closed: whether it has its bounds; nothing is added to it any more."""

    month: Month
    is_closed: bool


def ensure(first: datetime, last: datetime | None = None, *, ahead: int = MONTHS_AHEAD) -> None:
    """Make the tables of the months from ``first`` to ``last``, and some ahead. Nothing happens on SQLite.

    A table is made beside the log and then attached: whoever reads or writes meanwhile is not held up.
    """
    if connection.vendor != "postgresql":
        return
    end = Month.of(last or first).later(ahead)
    month, there = Month.of(first), {each.month for each in existing()}
    while month <= end:
        if month not in there:
            _make(month)
        month = month.later(1)


def existing() -> list[Partition]:
    """Return the months that have a table, oldest first. Empty on SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, EXISTS (SELECT FROM pg_constraint WHERE conrelid = inhrelid AND conname = relname || '_span')"
            " FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'audit_entry'::regclass"
        )
        found = cursor.fetchall()
    return sorted(
        (Partition(Month(int(name[-7:-3]), int(name[-2:])), closed) for name, closed in found),
        key=lambda each: each.month,
    )


def close(now: datetime) -> list[Month]:
    """Close every month that ended before ``now`` and is open still; return those. now: never after the head's moment.

    A crash in between leaves the month open, and the next call closes it.
    """
    due = [each.month for each in existing() if not each.is_closed and each.month.later(1).begins_at <= now]
    for month in due:
        _close(month)
    return due


def drop(month: Month) -> None:
    """Drop the tables of a month and of those before it, in the caller's transaction. Only retention calls this.

    Whoever reads the log is waited for, and waits: bound the wait by ``lock_timeout``.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        for each in existing():
            if each.month <= month:
                cursor.execute(f"ALTER TABLE audit_entry DETACH PARTITION {each.month.table}")
                cursor.execute(f"DROP TABLE {each.month.table}")


def _make(month: Month) -> None:
    table, begins, ends = month.table, month.begins_at, month.later(1).begins_at
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("SELECT to_regclass(%s)", [table])
        if cursor.fetchone()[0] is not None:  # another process was first
            return
        cursor.execute(f"CREATE TABLE {table} (LIKE audit_entry INCLUDING ALL)")
        cursor.execute(f"ALTER TABLE audit_entry ATTACH PARTITION {table} FOR VALUES FROM ('{begins}') TO ('{ends}')")
        cursor.execute(refuse_truncate(table))


def _close(month: Month) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(f'SELECT coalesce(min("index"), 0), coalesce(max("index") + 1, 0) FROM {month.table}')  # noqa: S608
        start, end = cursor.fetchone()
        span = f'CHECK ("index" >= {start} AND "index" < {end})'
        cursor.execute(f"ALTER TABLE {month.table} ADD CONSTRAINT {month.table}_span {span}")
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {month.table}")
