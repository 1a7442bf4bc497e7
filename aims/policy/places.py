"""Where in a policy text the trouble is. Pure.

Cedar's parser names no position, so we ask it again: which statement alone is refused, and in it, how far the text can be
read before the parser wants something other than more of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Why = Callable[[str], str | None]  # what is wrong with a text, or None

_TOKEN = re.compile(
    r"""//[^\n]*|"(?:\\.|[^"\\])*"|[A-Za-z_][A-Za-z0-9_]*|\d+|::|==|!=|<=|>=|&&|\|\||\S""",
    re.ASCII | re.DOTALL,
)
_NAMED = re.compile(r"[`']([^`']+)[`']|@(\w+)|: (\w+)\.?$")
_MORE = "unexpected end of input"


@dataclass(frozen=True)
class Place:
    """Both count from 1, as editors do."""

    line: int
    column: int


@dataclass(frozen=True)
class _Token:
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def find(text: str, message: str, *, why: Why, why_not_read: Why) -> Place | None:
    """Return where a refused text goes wrong, or None where no single place can be named.

    why: says what is wrong with a statement; why_not_read: the same, of its grammar alone.
    """
    for tokens in _statements(text):
        source = text[tokens[0].start : tokens[-1].end]
        if (found := why(source)) is not None:
            return _place(text, _culprit(source, tokens, found, why_not_read).start)
    return _second(text, message)


def _culprit(source: str, tokens: Sequence[_Token], message: str, why_not_read: Why) -> _Token:
    if why_not_read(source) is not None:
        for token in tokens[:-1]:
            said = why_not_read(source[: token.end - tokens[0].start])
            if said is not None and _MORE not in said:
                return token
    return next(_named(tokens, message), tokens[0])


def _named(tokens: Sequence[_Token], message: str) -> Iterator[_Token]:
    """Yield the words that the message names, in its order. The name of the policy itself leads nowhere."""
    head = 1 + next((at for at, token in enumerate(tokens) if token.text == ")"), -1)
    for match in _NAMED.finditer(message):
        word = next(filter(None, match.groups()))
        rest = tokens if message[match.start()] == "@" else tokens[head:] or tokens
        yield from (token for token in rest if token.text.strip('"') == word)


def _second(text: str, message: str) -> Place | None:
    """Return the place of the last @id that the message names: what is wrong is that there are two."""
    names = {word for groups in _NAMED.findall(message) for word in groups if word}
    ids = [match for match in re.finditer(r'@id\("([^"]*)"\)', text) if match[1] in names]
    return _place(text, ids[-1].start()) if ids else None


def _statements(text: str) -> Iterator[list[_Token]]:
    """Yield the tokens of each statement, its semicolon with it; comments are left out."""
    held: list[_Token] = []
    for match in _TOKEN.finditer(text):
        if match[0].startswith("//"):
            continue
        held.append(_Token(match[0], match.start()))
        if match[0] == ";":
            yield held
            held = []
    if held:
        yield held


def _place(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(line=before.count("\n") + 1, column=offset - (before.rfind("\n") + 1) + 1)
