"""How many entries of a kind an hour holds: counted as they are numbered, so that facets and histograms read no entries.

A rollup is a cache of the entries and proves nothing. ``rebuild`` makes it anew from them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from audit.models import Entry, Rollup

KEY_BYTES = 16
_AT_ONCE = 10_000  # entries that a rebuild counts before it writes

Kind = tuple[str, str, str, str]  # agent, type, decision, resource; empty where an entry has none

_UPSERT = (
    "INSERT INTO audit_rollup (hour, key, agent, type, decision, resource, n) VALUES (%s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (hour, key) DO UPDATE SET n = audit_rollup.n + excluded.n"
)


def add(recorded_at: datetime, kinds: Iterable[Kind]) -> None:
    """Count entries of one moment, in the caller's transaction: the one that inserts them."""
    hour = recorded_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    _add({(hour, *kind): n for kind, n in Counter(kinds).items()})


def kind_of(agent: str | None, type: str, decision: str | None, resource: str | None) -> Kind:
    """Return what an entry is counted as."""
    return agent or "", type, decision or "", resource or ""


def rebuild() -> int:
    """Count all entries again; return how many there are. Nobody may number entries meanwhile: hold the head's lock."""
    done = 0
    with transaction.atomic():
        Rollup.objects.all().delete()
        while rows := list(_page(done)):
            counts: Counter[tuple[Any, ...]] = Counter()
            for _, at, *facts in rows:
                counts[(at.astimezone(UTC).replace(minute=0, second=0, microsecond=0), *kind_of(*facts))] += 1
            _add(counts)
            done = rows[-1][0] + 1
    return done


def _page(start: int) -> Iterable[tuple[Any, ...]]:
    fields = ("index", "recorded_at", "agent", "type", "decision", "resource")
    return Entry.objects.filter(index__gte=start).order_by("index").values_list(*fields)[:_AT_ONCE]


def _add(counts: dict[tuple[Any, ...], int]) -> None:
    adapt = connection.ops.adapt_datetimefield_value
    # In one order, so that two writers could never wait for each other.
    rows = sorted((hour, _key(kind), *kind, n) for (hour, *kind), n in counts.items())
    with connection.cursor() as cursor:
        cursor.executemany(_UPSERT, [(adapt(hour), *rest) for hour, *rest in rows])


def _key(kind: Sequence[str]) -> bytes:
    """Return a key of constant length: two whole identifiers would not fit into a row of an index."""
    return hashlib.sha256("\x00".join(kind).encode()).digest()[:KEY_BYTES]
