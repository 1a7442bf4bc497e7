"""A text that is to be written again with other values in a few places: made from one that was written in full.

So whoever writes such texts stays their only author, and here nobody needs to know their grammar. Pure.
"""

from __future__ import annotations


class Ambiguous(ValueError):
    """A value stands in the text twice, or not at all: nobody can say which of them is to change."""


def pattern(text: str, **places: str) -> str:
    """Return the text as a pattern for ``%``, with a place of that name for each value. Raises Ambiguous.

    places: by name the value as the text spells it; it stands there exactly once. What is put in its place later must
    need no other spelling, as numbers, hashes and references.
    """
    made = text.replace("%", "%%")
    for name, value in places.items():
        if text.count(value) != 1 or made.count(value) != 1:  # twice, not at all, or within another one's place
            raise Ambiguous(name)
        made = made.replace(value, f"%({name})s")
    return made
