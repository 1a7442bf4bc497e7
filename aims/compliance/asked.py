"""What is measured and for whom: a period, a moment, a reader's part of the log; what was read once is kept for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from aims.identifier.models import Agent, AgentState
from audit import read
from audit.read import Scope, Tally

PERIOD_DEFAULT = timedelta(days=90)
PERIOD_MAX = timedelta(days=400)


@dataclass(frozen=True, kw_only=True)
class Period:
    """From one midnight to another (UTC), the second excluded."""

    since_at: datetime
    until_at: datetime

    @classmethod
    def last(cls, length: timedelta, *, now: datetime) -> Period:
        """Return the period of this length that ends with today."""
        end = midnight(now) + timedelta(days=1)
        return cls(since_at=end - length, until_at=end)


def midnight(moment: datetime) -> datetime:
    """Return the beginning of a day (UTC)."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


class Asked:
    """One measuring. Lives as long as it: what it read from the log is read once."""

    def __init__(self, *, period: Period, scope: Scope, now: datetime) -> None:
        self.period, self.scope, self.now = period, scope, now
        self.kept: dict[str, Any] = {}

    @cached_property
    def tallies(self) -> list[Tally]:
        """How many entries of each type and decision there are in the period and the scope."""
        return read.tallies(self.period.since_at, self.period.until_at, scope=self.scope)

    def of(self, types: Collection[str], *, decisions: Collection[str] = ()) -> list[Tally]:
        """Return the counts of some types. ``room.*`` stands for all of a room; decisions: only entries that say one."""
        prefixes = tuple(name[:-1] for name in types if name.endswith("*"))
        return [
            tally
            for tally in self.tallies
            if (tally.type in types or tally.type.startswith(prefixes))
            and (not decisions or tally.decision in decisions)
        ]

    @property
    def agents(self) -> QuerySet[Agent]:
        """The agents within the scope that have not ended."""
        agents = Agent.objects.exclude(state=AgentState.RETIRED)
        return agents if self.scope.agents is None else agents.filter(identifier__in=sorted(self.scope.agents))
