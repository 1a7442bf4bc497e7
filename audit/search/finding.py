"""Answers to queries: a page of the newest that fit, or all of them in order.

The log is walked a month at a time, the newest first, and no further than it takes. Months that can't hold a match are not
opened. A page does not look through more than WORD_SCAN_MAX entries for words that no index knows; ``each`` does.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from audit import partitions
from audit.access import Scope
from audit.entries import EntryView, views_of
from audit.models import Entry, Head
from audit.rollups import KIND
from audit.search import indexes
from audit.search.deadline import Deadline
from audit.search.fields import FIELDS, Kind
from audit.search.sql import Ground, Meaning, entries, span_of
from audit.search.syntax import Has, Query, Word, leaves
from audit.search.terms import month_of

PAGE_DEFAULT = 50
PAGE_MAX = 200
BATCH = 1_000  # entries that ``each`` holds at a time
STRETCH = 200_000  # indexes of one look where there are no months
COUNT_MAX = 10_000  # of the newest matches that are counted one by one
WORD_SCAN_MAX = 100_000  # of the newest entries, in which words are looked for where no index knows them


Match = tuple[int, datetime, str | None, str, str | None, str | None]  # index, recorded_at, then as KIND


@dataclass(frozen=True)
class Stretch:
    """A part of the log that is asked at once. first, last: indexes, both within; None is open."""

    ground: Ground
    since_at: datetime | None = None
    until_at: datetime | None = None
    first: int | None = None
    last: int | None = None

    def within(self) -> Q:
        """Return what an entry of the stretch fulfils."""
        ends = {
            "recorded_at__gte": self.since_at,
            "recorded_at__lt": self.until_at,
            "index__gte": self.first,
            "index__lte": self.last,
        }
        return Q(**{name: end for name, end in ends.items() if end is not None})


class Search:
    """A query, asked of what one reader may see.

    is_bounded: whether words that no index knows are looked for in the newest entries only.
    """

    def __init__(self, query: Query, *, scope: Scope, is_bounded: bool) -> None:
        self.query, self.meaning = query, Meaning()
        self.scope = scope
        self._looks_into_data = _looks_into_data(query)
        self._scan_from = _scan_from() if is_bounded and self._looks_into_data else 0
        self._is_walked_by_month = connection.vendor == "postgresql"

    def newest(self, before: int | None, limit: int, deadline: Deadline) -> list[Entry]:
        """Return the newest entries that fit, below an index."""
        found: list[Entry] = []
        for stretch in self.stretches:
            rows = self.within(stretch)
            if before is not None:
                rows = rows.filter(index__lt=before)
            with deadline.kept():
                found += rows.order_by("-index")[: limit - len(found)]
            if len(found) >= limit:
                break
        return found

    def first_page(self, limit: int, deadline: Deadline) -> list[Entry]:
        """Return the newest entries that fit, for who counts too: what stands within entries is looked for once for both."""
        if not self._looks_into_data:
            return self.newest(None, limit, deadline)
        with deadline.kept():
            newest = [match[0] for match in self.matches[:limit]]
        return list(Entry.objects.filter(index__in=newest).order_by("-index"))

    @cached_property
    def matches(self) -> list[Match]:
        """The newest that fit, one more than are counted: index, moment and kind. May take as long as its caller allows."""
        rows: list[Match] = []
        for stretch in self.stretches:
            found = self.within(stretch).order_by("-index")
            rows += found.values_list("index", "recorded_at", *KIND)[: COUNT_MAX + 1 - len(rows)]
            if len(rows) > COUNT_MAX:
                break
        return rows

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The parts of the log that can hold a match, the newest first. Looked up once: page and counts walk the same."""
        since_at, until_at = self.ends()
        first, last = _first_index(since_at), _last_index(until_at)
        if (since_at is not None and first is None) or (until_at is not None and last is None):
            return []
        if not self._is_walked_by_month:
            return [Stretch(Ground(None, False, self._scan_from), since_at, until_at, first, last)]
        return [Stretch(ground, since, until, first, last) for ground, since, until in self._months(since_at, until_at)]

    def within(self, stretch: Stretch) -> QuerySet[Entry]:
        """Return what fits on a stretch, in no order yet."""
        rows = self.scope.restrict(entries().filter(stretch.within()))
        for part in self.query.parts:
            rows = rows.filter(self.meaning.condition(part, stretch.ground))
        return rows

    @property
    def words_since(self) -> int:
        """The index from which on words were looked for that no index knows; 0 where all were."""
        if not self._scan_from or not self.stretches:
            return 0
        return self._scan_from

    def ends(self) -> tuple[datetime | None, datetime | None]:
        """Return the first moment that is looked at, and the first that is not any more; None is open."""
        ends = [end for part in self.query.parts for end in span_of(part)]
        since = [at for name, at in ends if name == "recorded_at__gte"] + [self.scope.since_at]
        until = [at for name, at in ends if name == "recorded_at__lt"] + [self.scope.until_at]
        return max(filter(None, since), default=None), min(filter(None, until), default=None)

    def _months(self, since_at: datetime | None, until_at: datetime | None) -> Iterator[tuple[Ground, Any, Any]]:
        tree = self.query.tree
        possible, indexed = self.meaning.months(tree) if tree else None, indexes.indexed()
        for month in sorted((each.month for each in partitions.existing()), reverse=True):
            begins, ends, number = month.begins_at, month.later(1).begins_at, month_of(month.begins_at)
            is_outside = (since_at and ends <= since_at) or (until_at and begins >= until_at)
            if is_outside or (possible is not None and number not in possible):
                continue
            yield (
                Ground(number, month in indexed, self._scan_from),
                max(begins, since_at or begins),
                min(ends, until_at or ends),
            )


def newest(query: Query, before: int | None = None, limit: int = PAGE_DEFAULT, *, scope: Scope) -> list[EntryView]:
    """Return the newest entries that fit, below index ``before``; at most PAGE_MAX. Raises: TooBroad."""
    search = Search(query, scope=scope, is_bounded=True)
    return views_of(search.newest(before, min(limit, PAGE_MAX), Deadline(query)))


def each(query: Query, *, below: int, scope: Scope, ascending: bool = True) -> Iterator[EntryView]:
    """Yield every entry within the scope that fits and has an index below ``below``, however long that takes.

    Of each stretch the indexes are found first, then the entries a batch at a time: no statement is held open meanwhile, and
    no more than a batch is in memory. The log only grows, so the answer for the same ``below`` is always the same.
    """
    search = Search(query, scope=scope, is_bounded=False)
    stretches = [part for stretch in search.stretches for part in _cut(stretch, below)]
    for stretch in reversed(stretches) if ascending else stretches:
        rows = search.within(stretch).filter(index__lt=below).order_by("index" if ascending else "-index")
        found = array("q", rows.values_list("index", flat=True).iterator())
        for at in range(0, len(found), BATCH):
            batch = Entry.objects.filter(index__in=found[at : at + BATCH].tolist())
            yield from views_of(sorted(batch, key=lambda row: row.index, reverse=not ascending))


def _cut(stretch: Stretch, below: int) -> Iterator[Stretch]:
    """Yield a stretch as it is where it is a month, else in pieces of STRETCH indexes, the newest first."""
    if stretch.ground.month is not None:
        yield stretch
        return
    last = below - 1 if stretch.last is None else min(below - 1, stretch.last)
    while last >= (stretch.first or 0):
        first = max(stretch.first or 0, last - STRETCH + 1)
        yield replace(stretch, first=first, last=last)
        last = first - 1


def _looks_into_data(query: Query) -> bool:
    return any(
        isinstance(leaf, Word) or (isinstance(leaf, Has) and FIELDS[leaf.field] is Kind.REFERENCE)
        for leaf in leaves(query.tree)
    )


def _scan_from() -> int:
    head = Head.objects.filter(pk=1).first()
    return max(0, head.base + head.size - WORD_SCAN_MAX) if head else 0


def _first_index(since_at: datetime | None) -> int | None:
    """Return the first index recorded since then: recorded_at never falls, so a span of time is a span of indexes."""
    if since_at is None:
        return None
    return (
        Entry.objects.filter(recorded_at__gte=since_at)
        .order_by("recorded_at", "index")
        .values_list("index", flat=True)
        .first()
    )


def _last_index(until_at: datetime | None) -> int | None:
    if until_at is None:
        return None
    return (
        Entry.objects.filter(recorded_at__lt=until_at)
        .order_by("-recorded_at", "-index")
        .values_list("index", flat=True)
        .first()
    )
