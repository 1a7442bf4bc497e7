"""What goes into an export: entries in their order, a page at a time, so that memory stays flat however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from audit.access import Scope
from audit.keeping import state
from audit.merkle import leaf_hash
from audit.models import Entry
from audit.search.finding import each
from audit.search.language import parse
from audit.write import vocabulary

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Item:
    """One entry to be exported: its global index and its exact bytes."""

    index: int
    canon: bytes

    @cached_property
    def leaf(self) -> str:
        """The leaf hash, hexadecimal."""
        return leaf_hash(self.canon).hex()

    @cached_property
    def entry(self) -> dict[str, Any]:
        """What the bytes say."""
        said: dict[str, Any] = json.loads(self.canon)
        return said


def title_of(type: str) -> str:
    """Return what the viewer calls a type, in English; the type itself where nobody knows it any more."""
    kind = vocabulary().get(type)
    return str(kind.title) if kind else type


def matching(query: str, first: int, below: int, *, scope: Scope, now: datetime) -> Iterator[Item]:
    """Yield every entry of [first, below) that fits a query and the scope, oldest first. Raises: QueryError."""
    for view in each(parse(query, now), below=below, scope=scope, ascending=True):
        if view.index >= first:
            yield Item(view.index, view.canon)


def in_range(first: int, end: int, *, scope: Scope) -> Iterator[Item]:
    """Yield every entry of [first, end) that is within the scope, oldest first."""
    while first < end:
        rows = scope.restrict(Entry.objects.filter(index__gte=first, index__lt=end)).order_by("index")
        page = list(rows.values_list("index", "canon")[:ROWS_AT_ONCE])
        yield from (Item(index, bytes(canon)) for index, canon in page)
        if len(page) < ROWS_AT_ONCE:
            return
        first = page[-1][0] + 1


def listed(indexes: Sequence[int]) -> Iterator[Item]:
    """Yield the entries of these ascending indexes, as far as they are kept."""
    for at in range(0, len(indexes), ROWS_AT_ONCE):
        rows = Entry.objects.filter(index__in=indexes[at : at + ROWS_AT_ONCE]).order_by("index")
        yield from (Item(index, bytes(canon)) for index, canon in rows.values_list("index", "canon"))


def period(first: int, end: int, scope: Scope) -> tuple[int, int]:
    """Return the part of [first, end) that is still kept and lies in the time of a scope.

    ``recorded_at`` never falls, so a time is a range. What went by retention is not claimed: the manifest names the range.
    """
    first = max(first, state.minimum())
    if scope.since_at:
        first = max(first, _first(recorded_at__gte=scope.since_at, otherwise=end))
    if scope.until_at:
        end = min(end, _first(recorded_at__gte=scope.until_at, otherwise=end))
    return min(first, end), end


def _first(*, otherwise: int, **since: datetime) -> int:
    found = Entry.objects.filter(**since).order_by("recorded_at", "index").values_list("index", flat=True).first()
    return otherwise if found is None else found
