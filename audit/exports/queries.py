"""Questions about exports, and how much one would hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from audit import read
from audit.access import Scope
from audit.exports import asking, entries
from audit.exports.errors import NoSuchExport
from audit.exports.models import Export
from audit.search.deadline import Deadline
from audit.search.errors import TooBroad
from audit.search.finding import Search
from audit.search.language import parse

COUNT_MAX = 10_000


@dataclass(frozen=True)
class Preview:
    """How many entries an export would hold now. is_more: there are more, or it could not be counted in time."""

    rows: int
    is_more: bool


def visible_to(ref: str, scope: Scope) -> QuerySet[Export]:
    """Return the exports that somebody may see, newest first.

    Who may read the whole log sees all; who may read a part, their own, as long as it was made within the same part.
    """
    rows = Export.objects.order_by("-asked_at", "-pk")
    if scope.is_whole:
        return rows
    kept = asking.kept_scope(scope)
    return rows.filter(pk__in=[row.pk for row in rows.filter(asked_by=ref) if row.scope == kept])


def export(name: str, *, ref: str, scope: Scope) -> Export:
    """Return one export. Raises: NoSuchExport, also for one that this reader may not see."""
    row = visible_to(ref, scope).filter(ref=name).first()
    if row is None:
        raise NoSuchExport(name)
    return row


def preview(query: str, first: int, end: int | None, *, scope: Scope, now: datetime) -> Preview:
    """Return how many entries fit, counted to COUNT_MAX and for as long as a search may take. Raises: QueryError."""
    first, end = entries.period(first, read.size() if end is None else end, scope)
    if not query and scope.agents is None:
        return Preview(end - first, False)
    asked = parse(query, now)
    search, deadline, count = Search(asked, scope=scope, is_bounded=False), Deadline(asked), 0
    for stretch in search.stretches:
        fitting = search.within(stretch).filter(index__gte=first, index__lt=end).values("index")
        try:
            with deadline.kept():
                count += fitting[: COUNT_MAX + 1 - count].count()
        except TooBroad:
            return Preview(count, True)
        if count > COUNT_MAX:
            return Preview(COUNT_MAX, True)
    return Preview(count, False)
