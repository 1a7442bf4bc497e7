"""What a rule looks at, and what it says. Pure. Time is the log's own, so that the same log gives the same findings again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

KEYS_MAX = 5_000  # that a rule remembers of one sort, the newest
_SLACK = KEYS_MAX // 10  # more are let in before the oldest are looked for: each look sorts all of them
TICK_S = 3_600  # how often rules about silence look around

State = dict[str, Any]
Zone = Callable[[str], str]  # the time zone of a person, by ref


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One entry. at_s: when it was recorded, which never goes back; happened_s: when it happened. Both NumericDates."""

    index: int
    at_s: float
    happened_s: float
    type: str
    by: str
    agent: str | None
    subject: str | None
    resource: str | None
    action: str | None
    decision: str | None
    txn: str | None
    data: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a member of its data that is a string, or an empty one."""
        found = self.data.get(name)
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Something found. key: what it is about; while a finding about it is open, a further hit is counted there.

    indexes: of the entries that show it, in order.
    """

    key: str
    indexes: tuple[int, ...]
    agent: str | None = None
    person: str | None = None
    resource: str | None = None
    txn: str | None = None
    grant: str | None = None


Watch = Callable[[Seen, State, Mapping[str, int], Zone], Iterable[Hit]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over the stream. limits: its thresholds, by name with their unit last. watch: what it does with an entry.

    A change of limits or watch is a new version, which reads the log again from its beginning.
    """

    id: str
    version: int
    title: str
    says: str
    severity: str
    limits: Mapping[str, int]
    types: frozenset[str]
    watch: Watch


def gettext_noop(text: str) -> str:
    """Mark words for translation, which faces do: a rule has no reader, and no Django."""
    return text


def kept(state: State, name: str) -> dict[str, list[Any]]:
    """Return what a rule remembers of one sort, by key. Each value is a list whose first item is a NumericDate."""
    found: dict[str, list[Any]] = state.setdefault(name, {})
    if len(found) > KEYS_MAX + _SLACK:
        for key in sorted(found, key=lambda key: (found[key][0], key))[: len(found) - KEYS_MAX]:
            del found[key]
    return found


def within(marks: Iterable[list[Any]], *, since_s: float) -> list[list[Any]]:
    """Return the marks, each [NumericDate, index], that are not older than that."""
    return [mark for mark in marks if mark[0] >= since_s]


def is_new_tick(entry: Seen, state: State) -> bool:
    """Return whether an entry is the first of its hour: when rules about silence look around."""
    tick = int(entry.at_s // TICK_S)
    before = int(state.get("tick", 0))
    state["tick"] = max(tick, before)
    return tick > before


def moment_s(at: datetime) -> float:
    """Return a moment as rules count it: NumericDate with milliseconds."""
    return round(at.timestamp(), 3)
