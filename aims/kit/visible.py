"""Makes text of strangers safe to look at: what a reader could not see, or what would move other text, is spelt out.

Escaping is for the eyes, not for HTML: templates escape on top of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

# Everything without a face of its own: controls, formats (bidi overrides, joiners, tags), surrogates, private use,
# unassigned, line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Spaces that people type in French and Japanese look like what they are.
_PLAIN_SPACES = frozenset("\u0020\u00a0\u202f\u3000")
# Letters and marks that Unicode calls Default_Ignorable_Code_Point, and the blank braille cell: they show nothing.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_VARIATION_SELECTORS = (
    range(0x180B, 0x1810),
    range(0xFE00, 0xFE10),
    range(0xE0100, 0xE01F0),
)
# The bracket that opens an escape is itself escaped, so that nobody can write something that looks like one.
_OPEN, _CLOSE = "\u27e8", "\u27e9"


@dataclass(frozen=True)
class Part:
    """A run of text: as it was, or spelt out because it could not be seen."""

    text: str
    is_escaped: bool


def visible(text: str) -> tuple[Part, ...]:
    """Return the text in runs; hidden characters as ``⟨U+202E⟩``."""
    if text.isascii() and text.isprintable():  # most text, and the list of a busy inbox is long
        return (Part(text, False),) if text else ()
    return tuple(_runs(text))


def escape(text: str) -> str:
    """Return the text as one string, hidden characters spelt out."""
    return "".join(part.text for part in visible(text))


def is_hidden(character: str) -> bool:
    """Return whether a reader would not see this character for what it is."""
    if character in _PLAIN_SPACES:
        return False
    if character == _OPEN or character in _BLANK_LETTERS:
        return True
    if any(ord(character) in selectors for selectors in _VARIATION_SELECTORS):
        return True
    category = unicodedata.category(character)
    return category in _HIDDEN_CATEGORIES or category == "Zs"


def _runs(text: str) -> Iterator[Part]:
    for hidden, characters in groupby(text, key=is_hidden):
        run = "".join(characters)
        yield Part("".join(map(_spelt, run)) if hidden else run, hidden)


def _spelt(character: str) -> str:
    return f"{_OPEN}U+{ord(character):04X}{_CLOSE}"
