"""A query as a tree, and how it is written again. Pure.

``str(query)`` is canonical: parsing it gives the same tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from audit.search.fields import DECISION_WORDS
from audit.search.moments import Moment

Sign = Literal["=", "<", "<=", ">", ">="]
Bound = int | Moment

_BARE = re.compile(r'[^\s"()\[\]*<>][^\s"()\[\]*]*')
_LOOKS_LIKE_A_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*:(?!//)")
_OPERATORS = frozenset({"OR", "AND", "NOT"})


@dataclass(frozen=True)
class Word:
    """What is looked for in every text of an entry, at the bounds of words. is_prefix: the last word goes on."""

    text: str
    is_prefix: bool = False

    def __str__(self) -> str:
        is_plain = not self.text.startswith("-") and not _LOOKS_LIKE_A_FIELD.match(self.text)
        return _value(self.text, self.is_prefix, is_plain=is_plain)


@dataclass(frozen=True)
class Has:
    """A field with a value, or one that begins so."""

    field: str
    value: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.field}:{self.said()}"

    def said(self) -> str:
        """Return the value as it is written."""
        word = DECISION_WORDS.get(self.value, self.value) if self.field == "decision" else self.value
        return _value(word, self.is_prefix)


@dataclass(frozen=True)
class Present:
    """A field with any value at all."""

    field: str

    def __str__(self) -> str:
        return f"{self.field}:*"


@dataclass(frozen=True)
class Compare:
    """A place in the order of ``index`` or ``time``."""

    field: str
    sign: Sign
    bound: Bound

    def __str__(self) -> str:
        if self.field == "time" and self.sign in (">=", "<"):
            return f"{'after' if self.sign == '>=' else 'before'}:{_bound(self.bound)}"
        return f"{self.field}:{'' if self.sign == '=' else self.sign}{_bound(self.bound)}"


@dataclass(frozen=True)
class Between:
    """A span of ``index`` or ``time``, both ends included; None is open."""

    field: str
    low: Bound | None
    high: Bound | None

    def __str__(self) -> str:
        return f"{self.field}:[{_bound(self.low)}..{_bound(self.high)}]"


@dataclass(frozen=True)
class Not:
    """What the part is not."""

    part: All | AnyOf | Word | Has | Present | Compare | Between

    def __str__(self) -> str:
        return f"-{_inner(self.part)}"


@dataclass(frozen=True)
class All:
    """What every part is. At least two, none of them All."""

    parts: tuple[AnyOf | Not | Word | Has | Present | Compare | Between, ...]

    def __str__(self) -> str:
        return " ".join(_inner(part) for part in self.parts)


@dataclass(frozen=True)
class AnyOf:
    """What at least one part is. At least two, none of them AnyOf."""

    parts: tuple[All | Not | Word | Has | Present | Compare | Between, ...]

    def __str__(self) -> str:
        if self.field:
            return f"{self.field}:({' '.join(part.said() for part in self.parts if isinstance(part, Has))})"
        return " OR ".join(map(str, self.parts))

    @property
    def field(self) -> str:
        """Return the one field that all parts give a value, or nothing."""
        names = {part.field if isinstance(part, Has) else "" for part in self.parts}
        return names.pop() if len(names) == 1 else ""


Tree = All | AnyOf | Not | Word | Has | Present | Compare | Between


@dataclass(frozen=True)
class Query:
    """What is looked for. tree: None finds everything."""

    tree: Tree | None = None

    def __str__(self) -> str:
        return "" if self.tree is None else str(self.tree)

    @property
    def parts(self) -> tuple[Tree, ...]:
        """Return what has to be so together: the chips of the filter bar."""
        if self.tree is None:
            return ()
        return self.tree.parts if isinstance(self.tree, All) else (self.tree,)

    def without(self, part: Tree) -> Query:
        """Return the query without one of its parts."""
        return of_parts(each for each in self.parts if each != part)

    def also(self, part: Tree) -> Query:
        """Return the query with one part more."""
        return self if part in self.parts else of_parts((*self.parts, part))

    def fields(self) -> list[str]:
        """Return the names of the fields in use, each once; ``text`` for words. Never a value."""
        return list(dict.fromkeys(getattr(leaf, "field", "text") for leaf in leaves(self.tree)))


def of_parts(parts: Iterator[Tree] | tuple[Tree, ...] | list[Tree]) -> Query:
    """Return the query for all of the parts together."""
    return Query(all_of(list(parts)))


def all_of(parts: list[Tree]) -> Tree | None:
    """Return one tree for all parts, flat."""
    flat = [one for part in parts for one in (part.parts if isinstance(part, All) else (part,))]
    return (All(tuple(flat)) if len(flat) > 1 else flat[0]) if flat else None


def any_of(parts: list[Tree]) -> Tree:
    """Return one tree for any of the parts, flat. parts: at least one."""
    flat = [one for part in parts for one in (part.parts if isinstance(part, AnyOf) else (part,))]
    return AnyOf(tuple(flat)) if len(flat) > 1 else flat[0]


def not_so(part: Tree) -> Tree:
    """Return the opposite."""
    return part.part if isinstance(part, Not) else Not(part)


def leaves(tree: Tree | None) -> Iterator[Word | Has | Present | Compare | Between]:
    """Yield what stands at the ends of the tree, in the order of the text."""
    if isinstance(tree, All | AnyOf):
        for part in tree.parts:
            yield from leaves(part)
    elif isinstance(tree, Not):
        yield from leaves(tree.part)
    elif tree is not None:
        yield tree


def _inner(part: Tree) -> str:
    needs_parentheses = isinstance(part, All) or (isinstance(part, AnyOf) and not part.field)
    return f"({part})" if needs_parentheses else str(part)


def _bound(bound: Bound | None) -> str:
    if bound is None:
        return "*"
    return bound.text if isinstance(bound, Moment) else str(bound)


def _value(text: str, is_prefix: bool, *, is_plain: bool = True) -> str:
    if is_plain and _BARE.fullmatch(text) and text not in _OPERATORS:
        return text + "*" * is_prefix
    spelled = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{spelled}"' + "*" * is_prefix
