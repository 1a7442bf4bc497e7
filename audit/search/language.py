"""The language of searches: ``agent:courier decision:denied -type:token.* after:7d``. Pure.

Terms side by side must all fit; ``OR``, ``-`` or ``NOT``, and parentheses combine them. A field takes a value, one of
several (``field:(a b)``), the beginning of one (``value*``), any (``*``); time and index also ``>=x`` and ``[a..b]``.
Read by an LALR parser with one token of look-ahead, so that no text takes longer than its length.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from functools import cache
from typing import Any

from audit.search import errors
from audit.search.errors import QueryError
from audit.search.fields import DECISIONS, FIELDS, Kind, nearest_decision, nearest_field
from audit.search.moments import moment
from audit.search.syntax import (
    Between,
    Bound,
    Compare,
    Has,
    Present,
    Query,
    Sign,
    Tree,
    Word,
    all_of,
    any_of,
    not_so,
)  # fmt: skip

QUERY_MAX = 2_000  # characters
TERMS_MAX = 50
NESTING_MAX = 8  # parentheses within parentheses
INDEX_DIGITS_MAX = 18

_GRAMMAR = r"""
    start: [either]
    either: both (OR both)*
    both: item (AND? item)*
    ?item: NEGATION primary -> negated
         | primary
    ?primary: "(" either ")"
         | FIELD _value -> field
         | BARE -> word
         | QUOTED -> word
         | PREFIX -> word
         | QUOTED_PREFIX -> word
    _value: BARE | QUOTED | PREFIX | QUOTED_PREFIX | STAR | SIGN BARE | listed | range
    listed: "(" _element (OR? _element)* ")"
    _element: BARE | QUOTED | PREFIX | QUOTED_PREFIX
    range: "[" BOUND ".." BOUND "]"

    NEGATION.4: /-(?=\S)|NOT(?=[\s(])/
    FIELD.3: /[A-Za-z_][A-Za-z0-9_]*:(?!\/\/)/
    OR.3: /OR(?=[\s(])/
    AND.3: /AND(?=[\s(])/
    STAR.2: /\*(?![^\s)])/
    SIGN.2: /[<>]=?/
    PREFIX.2: /[^\s"()\[\]*<>][^\s"()\[\]*]*\*(?![^\s)])/
    BARE.1: /[^\s"()\[\]*<>][^\s"()\[\]*]*/
    QUOTED_PREFIX.2: /"(?:[^"\\]|\\.)*"\*(?![^\s)])/
    QUOTED.1: /"(?:[^"\\]|\\.)*"/
    BOUND: /(?:[^\s"()\[\].]|\.(?!\.))+/
    %ignore /[ ]+/
"""
_BLANKS = str.maketrans("\t\r\n", "   ")
_OPERATORS = frozenset({"OR", "AND", "NOT", "-"})
_ALLOWED_CATEGORIES = frozenset("LMNPSZ")


def parse(text: str, now: datetime) -> Query:
    """Return what a text asks for; the empty one asks for everything. Raises: QueryError, which points at the place.

    now: aware; its zone is that of days and times without one.
    """
    text = text.translate(_BLANKS)
    _refuse_odd(text)
    _refuse_unbalanced(text)
    return Query(_Reading(text, now).tree()) if text.strip() else Query()


def _refuse_odd(text: str) -> None:
    if len(text) > QUERY_MAX:
        message = f"A query has at most {QUERY_MAX:,} characters; this one has {len(text):,}."
        raise errors.TooLong(message, text[: QUERY_MAX + 1], QUERY_MAX)
    for at, char in enumerate(text):
        category = unicodedata.category(char)
        if category[0] not in _ALLOWED_CATEGORIES or category in ("Zl", "Zp"):
            name = f"U+{ord(char):04X}"
            raise errors.BadCharacter(f"A character that can't be seen stands here ({name}). Take it out.", text, at)


def _refuse_unbalanced(text: str) -> None:
    """Find quotes and parentheses without their other half: here the place is known best, and depth is bounded."""
    opened: list[int] = []
    quoted_at: int | None = None
    chars = iter(enumerate(text))
    for at, char in chars:
        if char == "\\" and quoted_at is not None:
            next(chars, None)
        elif char == '"':
            quoted_at = at if quoted_at is None else None
        elif quoted_at is None and char == "(":
            opened.append(at)
            if len(opened) > NESTING_MAX:
                raise errors.TooDeep(f"Parentheses nest at most {NESTING_MAX} deep.", text, at)
        elif quoted_at is None and char == ")":
            if not opened:
                raise errors.UnbalancedParenthesis("Nothing was opened that this closes.", text, at)
            opened.pop()
    if quoted_at is not None:
        raise errors.UnclosedQuote("This quotation mark is not closed.", text, quoted_at)
    if opened:
        raise errors.UnbalancedParenthesis("This parenthesis is not closed.", text, opened[-1])


@cache
def _parser() -> Any:
    from lark import Lark  # with the first query, not with the start of every process

    return Lark(_GRAMMAR, parser="lalr", lexer="contextual", propagate_positions=False, maybe_placeholders=False)


class _Reading:
    """One text on its way to a tree. The grammar's own tree is as deep as parentheses may nest, no deeper."""

    def __init__(self, text: str, now: datetime) -> None:
        self._text, self._now, self._terms = text, now, 0

    def tree(self) -> Tree | None:
        from lark.exceptions import UnexpectedInput

        try:
            parsed = _parser().parse(self._text)
        except UnexpectedInput as error:
            raise self._misplaced(error) from None
        return self._either(parsed.children[0])

    def _either(self, node: Any) -> Tree:
        return any_of([self._both(child) for child in node.children if _is(child, "both")])

    def _both(self, node: Any) -> Tree:
        found = all_of([self._item(child) for child in _trees(node)])
        assert found is not None
        return found

    def _item(self, node: Any) -> Tree:
        if node.data == "negated":
            return not_so(self._item(node.children[1]))
        if node.data == "word":
            return self._word(node.children[0])
        if node.data == "either":
            return self._either(node)
        assert node.data == "field"
        return self._field(node.children[0], node.children[1:])

    def _word(self, token: Any) -> Word:
        self._count(token)
        value, is_prefix = self._value(token)
        is_quoted = token.type.startswith("QUOTED")
        if not is_quoted and (value in _OPERATORS or value.startswith("-")):
            raise self._error(errors.Misplaced, "Nothing stands here that this could join or exclude.", token)
        if not any(map(str.isalnum, value)):
            raise self._error(errors.NoValue, "There is no word here to look for.", token)
        return Word(value, is_prefix)

    def _field(self, token: Any, values: list[Any]) -> Tree:
        name = str(token)[:-1].lower()
        if name not in FIELDS:
            raise self._unknown(token, name)
        first = values[0]
        if _is(first, "listed"):
            return any_of([self._one(name, each) for each in first.children if each.type != "OR"])
        if _is(first, "range"):
            return self._range(name, first)
        if first.type == "STAR":
            self._count(first)
            return self._present(name, token, first)
        if first.type == "SIGN":
            self._count(first)
            return self._compare(name, first, values[1])
        return self._one(name, first)

    def _one(self, name: str, token: Any) -> Tree:
        self._count(token)
        value, is_prefix = self._value(token)
        kind = FIELDS[name]
        if kind in (Kind.NUMBER, Kind.TIME):
            if is_prefix:
                raise self._error(errors.MisplacedStar, f"The values of “{name}” have no beginning to go by.", token)
            return _ordered(name, "=", self._bound(name, token, value))
        if kind is Kind.CHOICE:
            value = self._decision(token, value, is_prefix)
        if not value:
            raise self._error(errors.NoValue, f"What should “{name}” be? Nothing stands here.", token)
        return Has(name, value, is_prefix)

    def _present(self, name: str, token: Any, star: Any) -> Tree:
        if FIELDS[name] in (Kind.NUMBER, Kind.TIME) or name == "ref":
            raise self._error(errors.NoValue, f"Every entry has “{name}”. Say which.", star)
        return Present(name)

    def _compare(self, name: str, sign: Any, token: Any) -> Tree:
        if FIELDS[name] not in (Kind.NUMBER, Kind.TIME) or name in ("after", "before"):
            raise self._error(errors.NotComparable, f"“{name}” has no order; time and index have.", sign)
        signs: dict[str, Sign] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
        return _ordered(name, signs[str(sign)], self._bound(name, token, str(token)))

    def _range(self, name: str, node: Any) -> Tree:
        low, high = node.children
        self._count(low)
        if FIELDS[name] not in (Kind.NUMBER, Kind.TIME) or name in ("after", "before"):
            raise self._error(errors.NotComparable, f"“{name}” has no order; time and index have.", low, high)
        bounds: list[Bound | None] = [
            None if each == "*" else self._bound(name, each, str(each)) for each in (low, high)
        ]
        if bounds == [None, None]:
            raise self._error(errors.NoValue, "A span needs one end at least.", low, high)
        return Between(name, *bounds)

    def _value(self, token: Any) -> tuple[str, bool]:
        text = str(token)
        is_prefix = token.type in ("PREFIX", "QUOTED_PREFIX")
        text = text[:-1] if is_prefix else text
        return (_unquoted(text) if text.startswith('"') else text), is_prefix

    def _decision(self, token: Any, word: str, is_prefix: bool) -> str:
        word = word.lower()
        code = word if word in DECISIONS.values() else DECISIONS.get(word)
        if code is None or is_prefix:
            known = ", ".join(DECISIONS)
            raise self._error(errors.BadValue, f"A decision is one of {known}.", token, nearest=nearest_decision(word))
        return code

    def _bound(self, name: str, token: Any, text: str) -> Bound:
        if FIELDS[name] is Kind.TIME:
            if (found := moment(text, self._now)) is None:
                message = "Write a time as 2026-11-28, 2026-11-28T10:00Z, 2026-11, 7d, 15m, today or now."
                raise self._error(errors.BadTime, message, token)
            return found
        if not (text.isascii() and text.isdigit() and len(text) <= INDEX_DIGITS_MAX):
            raise self._error(errors.BadNumber, f"“{name}” is a whole number.", token)
        return int(text)

    def _count(self, token: Any) -> None:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise self._error(errors.TooManyTerms, f"A query has at most {TERMS_MAX} terms.", token)

    def _unknown(self, token: Any, name: str) -> QueryError:
        if nearest := nearest_field(name):
            message = f"There is no field “{name}”. Did you mean “{nearest}”?"
        else:
            message = f"There is no field “{name}”. To look for the words themselves, put them in quotation marks."
        return errors.UnknownField(message, self._text, token.start_pos, token.end_pos - 1, nearest)

    def _error(
        self, kind: type[QueryError], message: str, token: Any, last: Any = None, *, nearest: str = ""
    ) -> QueryError:
        return kind(message, self._text, token.start_pos, (last or token).end_pos, nearest)

    def _misplaced(self, error: Any) -> QueryError:
        at = error.pos_in_stream
        at = len(self._text) if at is None or getattr(getattr(error, "token", None), "type", "") == "$END" else at
        char = self._text[at : at + 1]
        if char == "*":
            return errors.MisplacedStar("A star stands at the end of a value only.", self._text, at)
        if not char or char == ")":
            return errors.NoValue("Something is missing here.", self._text, at)
        message = "This does not fit here. Put it in quotation marks to look for it as it stands."
        return errors.Misplaced(message, self._text, at)


def _ordered(name: str, sign: Sign, bound: Bound) -> Compare:
    if name in ("after", "before"):
        return Compare("time", ">=" if name == "after" else "<", bound)
    return Compare(name, sign, bound)


def _unquoted(text: str) -> str:
    chars = iter(text[1:-1])
    return "".join(next(chars, "") if char == "\\" else char for char in chars)


def _is(node: Any, name: str) -> bool:
    return getattr(node, "data", None) == name


def _trees(node: Any) -> list[Any]:
    return [child for child in node.children if hasattr(child, "data")]
