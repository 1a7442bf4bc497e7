"""How many entries of a kind an hour holds: counted as they are numbered, so that facets and histograms read no entries.

A rollup is a cache of the entries and proves nothing. ``rebuild`` makes it anew from them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from audit.models import Entry, Rollup

KEY_BYTES = 16
DAY = timedelta(days=1)
HOURS_KEPT = timedelta(days=4)  # longer than any span with a bar an hour; the days before are counted as a whole
KIND = ("agent", "type", "decision", "resource")
_AT_ONCE = 10_000  # entries that a rebuild counts before it writes

Kind = tuple[str, str, str, str]  # agent, type, decision, resource; empty where an entry has none

_COUNTED = "ON CONFLICT (hour, key) DO UPDATE SET n = audit_rollup.n + excluded.n"
_NAMES = "hour, key, agent, type, decision, resource, n"
_UPSERT = f"INSERT INTO audit_rollup ({_NAMES}) VALUES (%s, %s, %s, %s, %s, %s, %s) {_COUNTED}"  # noqa: S608
_UPSERT_AT_ONCE = (
    f"INSERT INTO audit_rollup ({_NAMES}) SELECT hour, decode(key, 'hex'), agent, type, decision, resource, n "  # noqa: S608
    "FROM json_to_recordset(%s) AS given(hour timestamptz, key text, agent text, type text, decision text, "
    f"resource text, n bigint) {_COUNTED}"
)


def add(entries: Iterable[tuple[datetime, Kind]]) -> None:
    """Count entries by the hour in which they were numbered, in the caller's transaction: the one that inserts them."""
    hours = _Hours()
    _add(Counter((hours[recorded_at], *kind) for recorded_at, kind in entries))


def kind_of(agent: str | None, type: str, decision: str | None, resource: str | None) -> Kind:
    """Return what an entry is counted as."""
    return agent or "", type, decision or "", resource or ""


def fold(before: datetime) -> int:
    """Fold the hours of every day that ended before a moment into one row a kind and day; return how many days.

    A day is counted under its midnight. A year of a fleet in hours would be half as many rows as it has entries.
    """
    days = 0
    with transaction.atomic():
        while (hour := _unfolded(before)) is not None:
            day = hour.astimezone(UTC).replace(hour=0)
            of_day = Rollup.objects.filter(hour__gte=day, hour__lt=day + DAY)
            counts = {(day, *kind): n for *kind, n in of_day.values_list(*KIND).annotate(total=Sum("n"))}
            of_day.delete()
            _add(counts)
            days, before = days + 1, day  # what is later is folded, and need not be looked through again
    return days


def _unfolded(before: datetime) -> datetime | None:
    """Return the newest hour, other than a midnight, of a day that ended before a moment."""
    midnight = before.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    unfolded = Rollup.objects.filter(hour__lt=midnight).exclude(hour__hour=0)
    return unfolded.order_by("-hour").values_list("hour", flat=True).first()


def rebuild() -> int:
    """Count all entries again; return how many there are. Nobody may number entries meanwhile: hold the head's lock."""
    done = 0
    with transaction.atomic():
        Rollup.objects.all().delete()
        while rows := list(_page(done)):
            add((at, kind_of(*facts)) for _, at, *facts in rows)
            done = rows[-1][0] + 1
    return done


def _page(start: int) -> Iterable[tuple[Any, ...]]:
    fields = ("index", "recorded_at", "agent", "type", "decision", "resource")
    return Entry.objects.filter(index__gte=start).order_by("index").values_list(*fields)[:_AT_ONCE]


class _Hours(dict[datetime, datetime]):
    """The hours of moments. What is numbered together has one moment."""

    def __missing__(self, moment: datetime) -> datetime:
        self[moment] = hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return hour


def _add(counts: dict[tuple[Any, ...], int]) -> None:
    # In one order, so that two writers could never wait for each other.
    rows = sorted((hour, _key(kind), *kind, n) for (hour, *kind), n in counts.items())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # one parameter: a statement a row costs more than the entries do
            names = _NAMES.split(", ")
            given = [dict(zip(names, (hour.isoformat(), key.hex(), *rest), strict=True)) for hour, key, *rest in rows]
            cursor.execute(_UPSERT_AT_ONCE, [json.dumps(given)])
        else:
            adapt = connection.ops.adapt_datetimefield_value
            cursor.executemany(_UPSERT, [(adapt(hour), *rest) for hour, *rest in rows])


def _key(kind: Sequence[str]) -> bytes:
    """Return a key of constant length: two whole identifiers would not fit into a row of an index."""
    return hashlib.sha256("\x00".join(kind).encode()).digest()[:KEY_BYTES]
