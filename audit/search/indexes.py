"""The indexes that a month gets once it is over: a search then finds any string within ``data`` without a scan.

A growing month has none, since it would cost more than all other indexes together; there the newest entries are looked through.
"""

from __future__ import annotations

from django.db import connection

from audit import partitions
from audit.partitions import Month, Partition

# The words of the strings within data, and of its numbers. What is no word is checked in the bytes again, so it may hold more.
FUNCTION = r"""
CREATE OR REPLACE FUNCTION audit_words(canon bytea) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
    SELECT array_to_tsvector(array_remove(regexp_split_to_array(regexp_replace(
        lower(substring(convert_from(canon, 'UTF8') from '"data":(\{.*\}),"decision":')),
        '"[^"\\]*":', ' ', 'g'), '[^a-z0-9_-]+'), ''))
$$
"""
_SUFFIX = "_words"
# Without them a word that stands in one of these would have to be looked for in every row: a condition is as slow as its slowest.
_COLUMNS = ("action", "posture", "remediation")


def of_closed(partition: Partition) -> list[str]:
    """Return the statements that give a closed month its index of words; none where it has it. Run ANALYZE after them."""
    if partition.month in indexed():
        return []
    table = partition.month.table
    return [
        *(f"CREATE INDEX IF NOT EXISTS {table}_{column} ON {table} ({column})" for column in _COLUMNS),
        f"CREATE INDEX {table}{_SUFFIX} ON {table} USING gin (audit_words(canon)) WITH (fastupdate = off)",
    ]


def catch_up() -> int:
    """Give every closed month the indexes it lacks; return how many months those were. Nothing happens on SQLite.

    Nobody writes into a closed month, and reading goes on meanwhile. A crash leaves the rest to the next call.
    """
    due = [(each, of_closed(each)) for each in partitions.existing() if each.is_closed]
    for partition, statements in due:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            if statements:
                cursor.execute(f"ANALYZE {partition.month.table}")
    return sum(bool(statements) for _, statements in due)


def indexed() -> frozenset[Month]:
    """Return the months that have the index of words."""
    if connection.vendor != "postgresql":
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tables.relname FROM pg_index JOIN pg_class tables ON tables.oid = indrelid"
            " JOIN pg_class names ON names.oid = indexrelid"
            " WHERE names.relname = tables.relname || %s AND tables.relname LIKE 'audit_entry_%%' AND indisvalid",
            [_SUFFIX],
        )
        return frozenset(Month(int(name[-7:-3]), int(name[-2:])) for (name,) in cursor.fetchall())
