"""Answers to queries: a page of the newest, or all of them in order."""

from __future__ import annotations

from collections.abc import Iterator

from audit.access import Scope
from audit.entries import EntryView, views_of
from audit.search.sql import matching
from audit.search.syntax import Query

PAGE_DEFAULT = 50
PAGE_MAX = 200
BATCH = 1_000  # entries that ``each`` holds at a time


def newest(query: Query, before: int | None = None, limit: int = PAGE_DEFAULT, *, scope: Scope) -> list[EntryView]:
    """Return the newest entries that fit, below index ``before``; at most PAGE_MAX."""
    found = scope.restrict(matching(query))
    if before is not None:
        found = found.filter(index__lt=before)
    return views_of(found.order_by("-index")[: min(limit, PAGE_MAX)])


def each(query: Query, *, below: int, scope: Scope, ascending: bool = True) -> Iterator[EntryView]:
    """Yield every entry within the scope that fits and has an index below ``below``, however long that takes.

    Each batch is a statement of its own, so that nothing is held open between them; the log only grows, so the answer
    is the same whenever it is asked for the same ``below``.
    """
    found, order = scope.restrict(matching(query)), "index" if ascending else "-index"
    left = found.filter(index__lt=below)
    while rows := list(left.order_by(order)[:BATCH]):
        yield from views_of(rows)
        if len(rows) < BATCH:
            return
        last = rows[-1].index
        left = found.filter(index__gt=last, index__lt=below) if ascending else found.filter(index__lt=last)
