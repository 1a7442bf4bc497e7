"""A query as a condition on the log's table. Every value goes to the database as a parameter.

A value of a field is found where it stands between the bounds of words: ``courier`` in ``spiffe://acme.example/agent/courier``,
``token.*`` in ``authorization.token.issued``. An address (``://`` in it) is only found whole. Words are looked for in the same
way in every column and in every string within ``data``; references are whole strings there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField, Value

from audit.models import Entry
from audit.search import terms
from audit.search.fields import FIELDS, MEMBERS, REFERENCE_COLUMNS, WORD_COLUMNS, Kind, columns_of
from audit.search.moments import Moment
from audit.search.syntax import All, AnyOf, Between, Compare, Has, Not, Present, Tree, Word
from audit.search.terms import Months

_OUTSIDE = "[^A-Za-z0-9_-]"
# In canonical bytes a string ends in a quote, and a value is followed by one of these; a member's name by a colon.
_VALUE_ENDS = r'"[],}]'
_REST = r'([^"\\]|\\.)*'
_IN_DATA = '"data":.*'
_BEFORE_THE_END_OF_DATA = '.*,"decision":'
_EXACT_COLUMNS = ("event_id", "txn")  # each value is one entry's or a few's: no list of them is kept


@dataclass(frozen=True)
class Ground:
    """What a condition is put on: a part of the log.

    month: as ``terms`` spell it, or None for all. is_indexed: whether its table has the index of words. scan_from: where it
    has not, the first index whose ``data`` is looked through for words and references.
    """

    month: int | None = None
    is_indexed: bool = False
    scan_from: int = 0


class CanonText(Func):
    """The canonical bytes as text: ASCII but for what other writers than ours may have put there."""

    output_field = TextField()
    arity = 1

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        return self.as_sql(compiler, connection, template="convert_from(%(expressions)s, 'UTF8')")

    def as_sqlite(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS TEXT)")


class HasWords(Func):
    """Whether the words of the canonical bytes fit a tsquery. PostgreSQL, where there is an index of them."""

    output_field = BooleanField()
    arity = 2
    template = "(audit_words(%(expressions)s::tsquery)"
    arg_joiner = ") @@ "


def entries() -> QuerySet[Entry]:
    """Return all entries, with ``said``: the text of their bytes, which conditions need."""
    return Entry.objects.alias(said=CanonText(F("canon"), output_field=TextField()))


class Meaning:
    """What a query means in this log, as it is now. Values are looked up once, whatever is asked afterwards."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, bool, bool], Months | None] = {}

    def condition(self, tree: Tree, ground: Ground) -> Q:
        """Return the condition that finds the tree on a ground, on a queryset of ``entries()``."""
        return self._of(tree, ground, True)

    def months(self, tree: Tree) -> frozenset[int] | None:
        """Return the months that can hold what is looked for; None where any can."""
        if isinstance(tree, All):
            return reduce(_both, map(self.months, tree.parts))
        if isinstance(tree, AnyOf):
            return reduce(_either, map(self.months, tree.parts))
        if isinstance(tree, Present) and tree.field in terms.FIELDS:
            return terms.months_with(tree.field)
        if isinstance(tree, Has) and FIELDS[tree.field] in (Kind.PATH, Kind.CHOICE):
            return reduce(_either, (self._months_of(column, tree) for column in columns_of(tree.field)))
        return None

    def _months_of(self, column: str, has: Has) -> frozenset[int] | None:
        values = self._values(column, has.value, has.is_prefix, is_whole=_is_whole(has))
        return None if values is None else frozenset().union(*values.values())

    def _of(self, tree: Tree, ground: Ground, is_wanted: bool) -> Q:
        if isinstance(tree, Not):
            return ~self._of(tree.part, ground, not is_wanted)
        if isinstance(tree, All | AnyOf):
            parts = [self._of(part, ground, is_wanted) for part in tree.parts]
            return reduce(and_ if isinstance(tree, All) else or_, parts)
        if isinstance(tree, Word):
            return self._word(tree, ground, is_wanted)
        if isinstance(tree, Has):
            if FIELDS[tree.field] is Kind.REFERENCE:
                return _reference(tree, ground, is_wanted)
            return reduce(or_, (self._column(column, tree, ground) for column in columns_of(tree.field)))
        return _SIMPLE[type(tree)](tree)

    def _word(self, word: Word, ground: Ground, is_wanted: bool) -> Q:
        found = Q()
        for column in WORD_COLUMNS:
            if column not in _EXACT_COLUMNS:
                found |= self._holding(column, word.text, word.is_prefix, ground)
            elif not word.is_prefix:
                found |= Q(**{column: word.text})
        pattern = _bounded(word.text, word.is_prefix)
        # What holds the pattern holds the text: the cheap look comes first.
        in_data = Q(said__icontains=_spelled(word.text)) & Q(said__iregex=pattern)
        return found | _in_data(in_data, word.text, word.is_prefix, ground, is_wanted)

    def _column(self, column: str, has: Has, ground: Ground) -> Q:
        if column in _EXACT_COLUMNS:
            return _whole(column, has)
        if not _is_whole(has):
            return self._holding(column, has.value, has.is_prefix, ground)
        if has.is_prefix and (values := self._values(column, has.value, True, is_whole=True)) is not None:
            return _one_of(column, values, ground)
        return _whole(column, has)

    def _holding(self, column: str, text: str, is_prefix: bool, ground: Ground) -> Q:
        values = self._values(column, text, is_prefix, is_whole=False)
        return (
            Q(**{f"{column}__iregex": _at_bounds(text, is_prefix)})
            if values is None
            else _one_of(column, values, ground)
        )

    def _values(self, column: str, text: str, is_prefix: bool, *, is_whole: bool) -> Months | None:
        key = (column, text, is_prefix, is_whole)
        if key not in self._known:
            look = terms.beginning if is_whole else terms.holding
            self._known[key] = look(column, text, is_prefix=is_prefix)
        return self._known[key]


def span_of(part: Tree) -> list[tuple[str, Any]]:
    """Return the ends of the span of time that a part of a query is, as lookups; nothing for other parts."""
    return _edges(part) if isinstance(part, Compare | Between) and part.field == "time" else []


def _both(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int] | None:
    return other if one is None else one if other is None else one & other


def _either(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int] | None:
    return None if one is None or other is None else one | other


def _is_whole(has: Has) -> bool:
    return FIELDS[has.field] is Kind.CHOICE or "://" in has.value


def _one_of(column: str, values: Months, ground: Ground) -> Q:
    return Q(**{f"{column}__in": sorted(value for value, months in values.items() if ground.month in (None, *months))})


def _whole(column: str, has: Has) -> Q:
    return Q(**{f"{column}__regex": f"^{_escaped(has.value)}"}) if has.is_prefix else Q(**{column: has.value})


def _reference(has: Has, ground: Ground, is_wanted: bool) -> Q:
    spelled = _spelled(has.value)
    pattern = f'{_IN_DATA}"{_escaped(spelled)}{_REST if has.is_prefix else ""}{_VALUE_ENDS}{_BEFORE_THE_END_OF_DATA}'
    in_data = Q(said__contains=f'"{spelled}') & Q(said__regex=pattern)
    found = _in_data(in_data, has.value, has.is_prefix, ground, is_wanted)
    for column in REFERENCE_COLUMNS:
        found |= _whole(column, has)
    return found


def _in_data(found: Q, text: str, is_prefix: bool, ground: Ground, is_wanted: bool) -> Q:
    """Narrow a look into ``data`` to what can be looked through, where it is what finds entries.

    Where it excludes entries that something else found, it is a look at those alone.
    """
    if not is_wanted:
        return found
    if ground.is_indexed and (wanted := _tsquery(text, is_prefix)):
        return Q(HasWords(F("canon"), Value(wanted))) & found
    return Q(index__gte=ground.scan_from) & found if ground.scan_from else found


def _tsquery(text: str, is_prefix: bool) -> str:
    """Return what the index of words is asked for, or nothing where the text has no words. Safe: words need no escape."""
    words = re.findall("[a-z0-9_-]+", text.lower())
    goes_on = is_prefix and bool(words) and text.lower().endswith(words[-1])
    return " & ".join(f"'{word}'" for word in words) + ":*" * goes_on


def _present(present: Present) -> Q:
    found = Q()
    if FIELDS[present.field] is Kind.REFERENCE:
        for name in MEMBERS[present.field]:
            found |= Q(said__contains=f'"{name}":"') | Q(said__contains=f'"{name}":["')
        return found
    for column in columns_of(present.field):
        found |= Q(**{f"{column}__isnull": False})
    return found


def _compare(compare: Compare) -> Q:
    if isinstance(compare.bound, Moment):
        return Q(*_edges(compare))
    lookup = {"=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[compare.sign]
    return Q(**{f"index__{lookup}": compare.bound})


def _between(between: Between) -> Q:
    if isinstance(between.low or between.high, Moment):
        return Q(*_edges(between))
    found = Q() if between.low is None else Q(index__gte=between.low)
    return found if between.high is None else found & Q(index__lte=between.high)


def _edges(part: Compare | Between) -> list[tuple[str, Any]]:
    """Return the ends of a span of time: from the first moment that belongs to it to the first that does not."""
    if isinstance(part, Between):
        low = [("recorded_at__gte", part.low.start)] if isinstance(part.low, Moment) else []
        return low + ([("recorded_at__lt", part.high.end)] if isinstance(part.high, Moment) else [])
    assert isinstance(part.bound, Moment)
    start, end = part.bound.start, part.bound.end
    since, until = ("recorded_at__gte", start), ("recorded_at__lt", end)
    if start == end and part.sign == "=":
        return [since]  # time:7d is since then
    return {
        "=": [since, until],
        ">=": [since],
        ">": [("recorded_at__gte", end)],
        "<": [("recorded_at__lt", start)],
        "<=": [until],
    }[part.sign]


def _at_bounds(text: str, is_prefix: bool) -> str:
    """Return the pattern of a text that stands between the bounds of words."""
    return rf"(^|{_OUTSIDE}){_escaped(text)}" + ("" if is_prefix else rf"($|{_OUTSIDE})")


def _bounded(text: str, is_prefix: bool) -> str:
    """Return the pattern of a string within ``data`` that holds the text between the bounds of words.

    After the text comes the end of the string, an escaped character, or another that is not of a word.
    """
    after = _REST if is_prefix else rf'((\\.|[^A-Za-z0-9_"\\-]){_REST})?'
    return f"{_OUTSIDE}{_escaped(_spelled(text))}{after}{_VALUE_ENDS}{_BEFORE_THE_END_OF_DATA}"


def _spelled(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _escaped(text: str) -> str:
    """Return a pattern for exactly this text, which Python and PostgreSQL read alike."""
    return re.sub(r"([^A-Za-z0-9_\s\x80-\U0010ffff])", r"\\\1", text)


_SIMPLE: dict[type, Callable[[Any], Q]] = {Present: _present, Compare: _compare, Between: _between}
