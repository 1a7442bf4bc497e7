"""What goes into an export: entries in their order, a page at a time, so that memory stays flat however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from audit.merkle import leaf_hash
from audit.models import Entry

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


def in_range(first: int, end: int) -> Iterator[Item]:
    """Yield every entry of [first, end), oldest first."""
    while first < end:
        rows = Entry.objects.filter(index__gte=first, index__lt=end).order_by("index")
        page = list(rows.values_list("index", "canon")[:ROWS_AT_ONCE])
        yield from (Item(index, bytes(canon)) for index, canon in page)
        if len(page) < ROWS_AT_ONCE:
            return
        first = page[-1][0] + 1
