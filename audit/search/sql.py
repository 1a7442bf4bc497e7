"""A query as a condition on the log's table. Every value goes to the database as a parameter.

A value of a field is found where it stands at the bounds of words: ``courier`` in ``spiffe://acme.example/agent/courier``,
``token.*`` in ``authorization.token.issued``. An address (``://`` in it) is only found whole. Words are looked for in the
same way in every column and in every string within ``data``; references are whole strings there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import F, Func, Q, QuerySet, TextField

from audit.models import Entry
from audit.search.fields import FIELDS, MEMBERS, REFERENCE_COLUMNS, WORD_COLUMNS, Kind, columns_of
from audit.search.moments import Moment
from audit.search.syntax import All, AnyOf, Between, Compare, Has, Not, Present, Query, Tree, Word

_OUTSIDE = "[^A-Za-z0-9_-]"
# In canonical bytes a string ends in a quote, and a value is followed by one of these; a member's name by a colon.
_VALUE_ENDS = r'"[],}]'
_REST = r'([^"\\]|\\.)*'
_BEFORE_THE_END_OF_DATA = '.*,"decision":'


class CanonText(Func):
    """The canonical bytes as text: ASCII but for what other writers than ours may have put there."""

    output_field = TextField()
    arity = 1

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        return self.as_sql(compiler, connection, template="convert_from(%(expressions)s, 'UTF8')")

    def as_sqlite(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS TEXT)")


def matching(query: Query) -> QuerySet[Entry]:
    """Return the entries that fit, in no order yet."""
    found: QuerySet[Entry] = Entry.objects.alias(said=CanonText(F("canon"), output_field=TextField()))
    for part in query.parts:
        found = _narrowed(found, part)
    return found


def condition(tree: Tree) -> Q:
    """Return a tree as a condition on a queryset that has ``said``, the text of ``canon``."""
    if isinstance(tree, Not):
        return ~condition(tree.part)
    if isinstance(tree, All | AnyOf):
        return reduce(and_ if isinstance(tree, All) else or_, map(condition, tree.parts))
    return _LEAVES[type(tree)](tree)


def _narrowed(found: QuerySet[Entry], part: Tree) -> QuerySet[Entry]:
    """Add one part. recorded_at never falls, so a span of time is a span of indexes: the keyset stays one index walk."""
    found = found.filter(condition(part))
    if not isinstance(part, Compare | Between) or part.field != "time":
        return found
    for name, at in _edges(part):
        if name == "recorded_at__gte":
            first = Entry.objects.filter(recorded_at__gte=at).order_by("recorded_at", "index").first()
            found = found.filter(index__gte=first.index) if first else found.none()
        else:
            last = Entry.objects.filter(recorded_at__lt=at).order_by("-recorded_at", "-index").first()
            found = found.filter(index__lte=last.index) if last else found.none()
    return found


def _word(word: Word) -> Q:
    found = _in_data(word.text, _bounded(word.text, word.is_prefix, ends_in=_REST))
    for column in WORD_COLUMNS:
        found |= Q(**{f"{column}__iregex": _at_bounds(word.text, word.is_prefix)})
    return found


def _has(has: Has) -> Q:
    kind = FIELDS[has.field]
    if kind is Kind.REFERENCE:
        return _reference(has)
    found = Q()
    for column in columns_of(has.field):
        found |= _in_column(column, has, kind)
    return found


def _in_column(column: str, has: Has, kind: Kind) -> Q:
    if kind is not Kind.PATH or "://" in has.value:
        return _whole(column, has)
    return Q(**{f"{column}__iregex": _at_bounds(has.value, has.is_prefix)})


def _whole(column: str, has: Has) -> Q:
    return Q(**{f"{column}__regex": f"^{_escaped(has.value)}"}) if has.is_prefix else Q(**{column: has.value})


def _reference(has: Has) -> Q:
    spelled = _spelled(has.value)
    pattern = f'"{_escaped(spelled)}{_REST if has.is_prefix else ""}{_VALUE_ENDS}{_BEFORE_THE_END_OF_DATA}'
    found = Q(said__contains=f'"{spelled}') & Q(said__regex=pattern)
    for column in REFERENCE_COLUMNS:
        found |= _whole(column, has)
    return found


def _present(present: Present) -> Q:
    if FIELDS[present.field] is Kind.REFERENCE:
        found = Q()
        for name in MEMBERS[present.field]:
            found |= Q(said__contains=f'"{name}":"') | Q(said__contains=f'"{name}":["')
        return found
    found = Q()
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


def _in_data(text: str, pattern: str) -> Q:
    # What holds the pattern holds the text: the cheap look comes first.
    return Q(said__icontains=_spelled(text)) & Q(said__iregex=pattern)


def _at_bounds(text: str, is_prefix: bool) -> str:
    """Return the pattern of a text that stands between the bounds of words."""
    return rf"(^|{_OUTSIDE}){_escaped(text)}" + ("" if is_prefix else rf"($|{_OUTSIDE})")


def _bounded(text: str, is_prefix: bool, *, ends_in: str) -> str:
    """Return the pattern of a string within ``data`` that holds the text between the bounds of words.

    After the text comes the end of the string, an escaped character, or another that is not of a word.
    """
    after = ends_in if is_prefix else rf'((\\.|[^A-Za-z0-9_"\\-]){ends_in})?'
    return f"{_OUTSIDE}{_escaped(_spelled(text))}{after}{_VALUE_ENDS}{_BEFORE_THE_END_OF_DATA}"


def _spelled(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _escaped(text: str) -> str:
    """Return a pattern for exactly this text, which Python and PostgreSQL read alike."""
    return re.sub(r"([^A-Za-z0-9_\s\x80-\U0010ffff])", r"\\\1", text)


_LEAVES: dict[type, Callable[[Any], Q]] = {
    Word: _word,
    Has: _has,
    Present: _present,
    Compare: _compare,
    Between: _between,
}
