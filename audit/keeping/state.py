"""From which entry on the log is there, and for how long it is kept."""

from __future__ import annotations

from django.db import connection

from audit.keeping.models import Gone, Keeping


def locked() -> Keeping:
    """Return the one row, locked until the caller's transaction ends: holds, erasures and retention go one by one."""
    assert connection.in_atomic_block
    Keeping.objects.bulk_create([Keeping(pk=1)], ignore_conflicts=True)
    return Keeping.objects.select_for_update().get(pk=1)


def current() -> Keeping:
    """Return how the log is kept at present."""
    return Keeping.objects.filter(pk=1).first() or Keeping(pk=1)


def minimum() -> int:
    """Return the global index of the first entry that is kept; 0 where none went yet."""
    return Keeping.objects.filter(pk=1).values_list("minimum", flat=True).first() or 0


def gone(index: int) -> Gone | None:
    """Return the month that an entry went with, or None for one that did not go."""
    return Gone.objects.filter(first__lte=index, end__gt=index).first() if index < minimum() else None
