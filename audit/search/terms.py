"""Which values the columns of the log have, and in which months: a few thousand, so that a search knows them all.

A part of a value (``courier``) becomes the few whole values that hold it, which the indexes of the entries can look up; and a
month that has none of them is not opened. Noted as entries are numbered. They prove nothing; ``rebuild`` makes them anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models.functions import ExtractMonth, ExtractYear

from audit.models import Entry, Term

FIELDS = ("action", "agent", "by", "decision", "posture", "remediation", "resource", "subject", "type")
VALUES_MAX = 1_000  # whole values that a part of one may stand for; beyond that the entries are looked through

Noted = tuple[str, str, int]  # field, value, month
Months = Mapping[str, frozenset[int]]  # by value


def month_of(moment: datetime) -> int:
    """Return the month of a moment in UTC, as 202611."""
    at = moment.astimezone(UTC)
    return at.year * 100 + at.month


def add(noted: Iterable[Noted]) -> None:
    """Note values, in the transaction that inserts their entries."""
    # In one order, so that two writers could never wait for each other.
    rows = sorted(set(noted))
    if not rows:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(
                "INSERT INTO audit_term (field, value, month) SELECT * FROM unnest(%s::text[], %s::text[], %s::int[])"
                " ON CONFLICT DO NOTHING",
                columns,
            )
        else:
            cursor.executemany("INSERT OR IGNORE INTO audit_term (field, value, month) VALUES (%s, %s, %s)", rows)


def rebuild() -> None:
    """Note the values of all entries again. Nobody may number entries meanwhile: hold the head's lock."""
    in_month = {"y": ExtractYear("recorded_at", tzinfo=UTC), "m": ExtractMonth("recorded_at", tzinfo=UTC)}
    with transaction.atomic():
        Term.objects.all().delete()
        for field in FIELDS:
            rows = Entry.objects.exclude(**{field: None}).annotate(**in_month).values_list(field, "y", "m").distinct()
            add((field, value, year * 100 + month) for value, year, month in rows.order_by())


def holding(field: str, text: str, *, is_prefix: bool) -> Months | None:
    """Return the values that hold a text between the bounds of words, with their months; None for too many."""
    pattern = re.compile(
        rf"(?<![A-Za-z0-9_-]){re.escape(text)}" + ("" if is_prefix else r"(?![A-Za-z0-9_-])"), re.I | re.A
    )
    near = Term.objects.filter(field=field, value__icontains=text)
    found: dict[str, set[int]] = defaultdict(set)
    for value, month in near.values_list("value", "month"):
        if pattern.search(value):
            found[value].add(month)
    return None if len(found) > VALUES_MAX else _frozen(found)


def beginning(field: str, text: str, *, is_prefix: bool) -> Months | None:
    """Return the whole value, or with ``is_prefix`` the values that begin so, with their months; None for too many."""
    near = (
        Term.objects.filter(field=field, value__startswith=text)
        if is_prefix
        else Term.objects.filter(field=field, value=text)
    )
    found: dict[str, set[int]] = defaultdict(set)
    for value, month in near.values_list("value", "month"):
        if value.startswith(text):  # SQLite is not strict about case
            found[value].add(month)
    return None if len(found) > VALUES_MAX else _frozen(found)


def months_with(field: str) -> frozenset[int]:
    """Return the months in which a column has any value."""
    return frozenset(Term.objects.filter(field=field).values_list("month", flat=True).distinct())


def _frozen(found: Mapping[str, set[int]]) -> Months:
    return {value: frozenset(months) for value, months in found.items()}
