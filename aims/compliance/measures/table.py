"""The table of measures: what each is called, what it looks at, and the question itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from aims.compliance.asked import Asked
from aims.compliance.evidence import Evidence, State

LOG, FLEET, HOUSE = "log", "fleet", "house"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a question found, before it is put beside its name."""

    count: int
    state: State
    why: str
    href: str = ""
    newest_at: datetime | None = None
    oldest_at: datetime | None = None


Question = Callable[[Asked], Found]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure. of: the log (cut by the reader's scope), the fleet (cut too), or the house, which no part is cut from."""

    name: str
    title: str | Promise
    of: str
    question: Question


MEASURES: dict[str, Measure] = {}


def measure(name: str, title: str | Promise, *, of: str) -> Callable[[Question], Question]:
    """Enter a question into the table under a name that controls refer to."""

    def enter(question: Question) -> Question:
        assert name not in MEASURES, name
        MEASURES[name] = Measure(name=name, title=title, of=of, question=question)
        return question

    return enter


def measured(name: str, asked: Asked) -> Evidence:
    """Measure one thing. What is about the house is not measured for who sees a part of the log only."""
    known = MEASURES[name]
    if known.of == HOUSE and not asked.scope.is_whole:
        found = Found(count=0, state=State.UNKNOWN, why=_("Not part of your seat, so not measured for you."))
    else:
        found = known.question(asked)
    return Evidence(name=name, **vars(found))
