"""What may come next in a query: fields, or the values that a field has in the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import QuerySet

from audit.access import Scope
from audit.models import Rollup, Term
from audit.rollups import DAY
from audit.search import terms
from audit.search.fields import DECISIONS, FIELDS, Kind, columns_of
from audit.search.syntax import Has

SHOWN_MAX = 12
LOOKED_AT_MAX = 2_000  # values whose names are compared
TIMES = ("15m", "1h", "24h", "7d", "30d", "today", "yesterday")
# The word that ends where the cursor is, with the field before it; within a list (a b) too.
_HERE = re.compile(
    r'(?:^|(?<=[\s(]))-?(?:(?P<field>[A-Za-z_]+):(?:\((?:[^\s()"]+ )*)?)?(?P<word>[^\s()":]*(?::[^\s()"]*)?)$'
)

Labels = Callable[[Collection[str]], Mapping[str, str]]


@dataclass(frozen=True)
class Suggestion:
    """insert: replaces the text from ``start`` to the cursor. label: what people call it; may be empty."""

    insert: str
    label: str
    start: int

    def as_json(self) -> dict[str, Any]:
        """Return it for the query bar."""
        return asdict(self)


def suggest(text: str, *, scope: Scope, labels: Labels) -> list[Suggestion]:
    """Return what may come next. text: the query up to the cursor. Nothing outside the scope is suggested."""
    found = _HERE.search(text)
    if not found:
        return []
    field, word = (found["field"] or "").lower(), found["word"]
    if field in FIELDS:
        return [Suggestion(value, label, found.start("word")) for value, label in _values(field, word, scope, labels)]
    start = found.start("word")
    names = [name for name in FIELDS if name.startswith(word.lower()) and name != word]
    return [Suggestion(f"{name}:", "", start) for name in names[:SHOWN_MAX]] if word else []


def _values(field: str, word: str, scope: Scope, labels: Labels) -> Iterable[tuple[str, str]]:
    kind = FIELDS[field]
    if kind is Kind.CHOICE:
        return [(name, "") for name in DECISIONS if name.startswith(word.lower())]
    if kind is Kind.TIME:
        return [(name, "") for name in TIMES if name.startswith(word.lower())]
    if kind is not Kind.PATH:
        return []
    values = sorted({value for column in columns_of(field) for value in _known(column, scope)[:LOOKED_AT_MAX]})
    names = labels(values)
    fitting = [(value, names.get(value, "")) for value in values if _fits(word, value, names.get(value, ""))]
    return [(Has(field, value).said(), name) for value, name in fitting[:SHOWN_MAX]]


def _fits(word: str, value: str, name: str) -> bool:
    return word.lower().strip('"') in f"{value} {name}".lower()


def _known(column: str, scope: Scope) -> QuerySet[Any, str]:
    if scope.is_whole and column in terms.FIELDS:
        return Term.objects.filter(field=column).order_by("value").values_list("value", flat=True).distinct()
    # Of a part of the log only what rollups tell apart is known; the rest would have to be read entry by entry.
    if column not in ("type", "agent", "resource"):
        return Rollup.objects.none().values_list("type", flat=True)
    rows = scope.restrict(Rollup.objects.exclude(**{column: ""}), at="hour")
    if scope.until_at is not None:  # an old day is counted under its midnight, also what came after the scope's end
        rows = rows.filter(hour__lt=scope.until_at - DAY)
    return rows.order_by(column).values_list(column, flat=True).distinct()
