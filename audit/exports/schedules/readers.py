"""Who may read the log, and how they are told: answered by the console, since this room knows nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.access import Scope

Letter = tuple[str, str]  # subject and text


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Questions about readers of the log, by ref: people, and agents that may read it by a scope of their own.

    scope: what somebody may read at this moment, None where nothing. people: ref and name of all who may read some of it.
    mail: calls ``write`` in the language of a person and sends what it returns; raises OSError where it can't be sent.
    """

    scope: Callable[[str], Scope | None]
    people: Callable[[], Sequence[tuple[str, str]]]
    mail: Callable[[str, Callable[[], Letter]], None]


def _unsent(ref: str, write: Callable[[], Letter]) -> None:
    raise ConnectionError("nobody is mailed here")


NOBODY_THERE = Readers(scope=lambda ref: None, people=lambda: (), mail=_unsent)
