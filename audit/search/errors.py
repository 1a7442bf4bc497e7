"""What can be wrong with a query: one class a rule, each pointing at the place. Pure."""

from __future__ import annotations

from typing import Any, ClassVar

CONTEXT_MAX = 60  # characters of the query that ``shown`` keeps on either side of the place


class QueryError(ValueError):
    """A query that can't be understood or answered.

    code: stable. message: what is wrong and what now. start, end: offsets into the text, in characters; end is past
    the last one, and both are the text's length where something is missing there. nearest: what was meant, perhaps.
    """

    code: ClassVar[str] = "query"

    def __init__(self, message: str, text: str, start: int, end: int | None = None, nearest: str = "") -> None:
        super().__init__(message)
        self.message, self.text, self.nearest = message, text, nearest
        self.start = min(start, len(text))
        self.end = min(max(start + 1 if end is None else end, self.start), len(text))

    def shown(self) -> tuple[str, str]:
        """Return the part of the query around the place, and a line of the same width with carets under it."""
        first, last = max(0, self.start - CONTEXT_MAX), min(len(self.text), self.end + CONTEXT_MAX)
        line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in self.text[first:last])
        return line, " " * (self.start - first) + "^" * max(1, self.end - self.start)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        place = {"start": self.start, "end": self.end}
        return {
            "code": self.code,
            "detail": self.message,
            **place,
            **({"nearest": self.nearest} if self.nearest else {}),
        }


class TooLong(QueryError):
    """More characters than a query may have."""

    code = "query_too_long"


class TooManyTerms(QueryError):
    """More terms than a query may have."""

    code = "query_too_many_terms"


class TooDeep(QueryError):
    """Parentheses within parentheses within …"""

    code = "query_too_deep"


class BadCharacter(QueryError):
    """A control, an invisible or a direction-changing character, or half a surrogate pair."""

    code = "query_bad_character"


class UnclosedQuote(QueryError):
    """A quotation mark that nothing closes."""

    code = "query_unclosed_quote"


class UnbalancedParenthesis(QueryError):
    """A parenthesis without its other half."""

    code = "query_unbalanced_parenthesis"


class UnknownField(QueryError):
    """A field that entries don't have."""

    code = "query_unknown_field"


class NoValue(QueryError):
    """A field, an operator or a quotation mark with nothing to look for."""

    code = "query_no_value"


class Misplaced(QueryError):
    """Something that doesn't fit where it stands."""

    code = "query_misplaced"


class MisplacedStar(QueryError):
    """A star elsewhere than at the end of a value."""

    code = "query_misplaced_star"


class NotComparable(QueryError):
    """``<``, ``>`` or a range with a field that has no order."""

    code = "query_not_comparable"


class BadTime(QueryError):
    """A moment that can't be read."""

    code = "query_bad_time"


class BadNumber(QueryError):
    """A number that can't be read."""

    code = "query_bad_number"


class BadValue(QueryError):
    """A value that this field never has."""

    code = "query_bad_value"


class TooBroad(QueryError):
    """The database did not finish in time."""

    code = "query_too_broad"
