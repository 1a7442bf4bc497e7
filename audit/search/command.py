"""A search at the command line: the same language, and the reading is recorded all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from audit.access import EVERYTHING
from audit.entries import EntryView
from audit.events import LogViewed
from audit.search.finding import PAGE_MAX, newest
from audit.search.language import parse
from audit.write import NOBODY, record_alone


def answered(text: str, *, limit: int, by: str, now: datetime) -> Iterator[EntryView]:
    """Yield the newest entries that fit, ``limit`` at most. by: ``cli:<os user>``. Raises: QueryError."""
    query = parse(text, now)
    record_alone(LogViewed(page="command", at=None, query=query.fields()), by=by, facts=NOBODY)
    before: int | None = None
    while limit > 0:
        wanted = min(limit, PAGE_MAX)
        page = newest(query, before, wanted, scope=EVERYTHING)
        yield from page
        if len(page) < wanted:
            return
        limit, before = limit - wanted, page[-1].index
