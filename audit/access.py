"""Who may read the log, and which part of it. People are duck-typed, since this room knows no other.

A ``Scope`` is asked of everything that reads entries, as a keyword without default: a reader that forgot it does not run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Protocol, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

Page = Callable[..., HttpResponse]
Rows = TypeVar("Rows", bound=Model)
ROLES = ("auditor", "admin")
GRAIN = timedelta(
    days=1
)  # what old rollups can be cut by; a period that ended within a day would be told by its counts


class Placed(Protocol):
    """What a scope must know of an entry, or of anything that stands for one."""

    @property
    def agent(self) -> str | None: ...
    @property
    def recorded_at(self) -> datetime: ...


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The part of the log that a reader may see; the rest does not exist for them, nor is it counted.

    agents: the identifiers whose entries are within, by their ``agent``; None for all entries, also those about no
    agent. since_at: the first moment within, until_at: the first one after it, both as recorded and at midnight (UTC).
    """

    agents: frozenset[str] | None
    since_at: datetime | None
    until_at: datetime | None

    def __post_init__(self) -> None:
        for moment in (self.since_at, self.until_at):
            assert moment is None or moment.timestamp() % GRAIN.total_seconds() == 0, moment

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self == EVERYTHING

    def condition(self, *, at: str = "recorded_at", agent: str = "agent") -> Q:
        """Return what rows must fulfil. at, agent: their columns; a rollup's ``hour`` serves as well."""
        within = Q()
        if self.agents is not None:
            within &= Q(**{f"{agent}__in": sorted(self.agents)})
        if self.since_at is not None:
            within &= Q(**{f"{at}__gte": self.since_at})
        if self.until_at is not None:
            within &= Q(**{f"{at}__lt": self.until_at})
        return within

    def restrict(self, rows: QuerySet[Rows], *, at: str = "recorded_at", agent: str = "agent") -> QuerySet[Rows]:
        """Return the rows within. Works for entries, and by other columns for what is counted or found from them."""
        return rows if self.is_whole else rows.filter(self.condition(at=at, agent=agent))

    def covers(self, entry: Placed) -> bool:
        """Return whether an entry is within: the same answer as ``restrict`` gives."""
        return self.covers_agent(entry.agent) and self.covers_moment(entry.recorded_at)

    def covers_agent(self, agent: str | None) -> bool:
        """Return whether entries of this agent are within, whatever their time."""
        return self.agents is None or agent in self.agents

    def covers_moment(self, moment: datetime) -> bool:
        """Return whether what was recorded at a moment is within, whoever it is about."""
        return (self.since_at is None or moment >= self.since_at) and (self.until_at is None or moment < self.until_at)


EVERYTHING = Scope(agents=None, since_at=None, until_at=None)
NOTHING = Scope(agents=frozenset(), since_at=None, until_at=None)


def may_read(person: Any) -> bool:
    """Return whether a person may read the log now, or some of it."""
    return bool(getattr(person, "is_authenticated", False)) and any(map(person.has_role, ROLES))


def scope_of(person: Any) -> Scope:
    """Return what a person may read now. Asked at each request: a seat that is over has closed by itself.

    person: duck-typed. ``has_role(role)``; ``log_limits()`` is None without limits, else has agents (identifiers,
    or None), since_at and until_at. Admins are bound by none, since they answer for who is.
    """
    if not may_read(person):
        return NOTHING
    limits = None if person.has_role("admin") else person.log_limits()
    if limits is None:
        return EVERYTHING
    agents = None if limits.agents is None else frozenset(limits.agents)
    return Scope(agents=agents, since_at=limits.since_at, until_at=limits.until_at)


def scope_of_caller(caller: Any) -> Scope:
    """Return what a machine may read. One that acts for a person reads no more than that person may.

    caller: duck-typed; ``person`` is None where it acts for itself, by its own scope. Raises PermissionDenied.
    """
    if caller.person is None:
        return EVERYTHING
    if not may_read(caller.person):
        raise PermissionDenied(_("Only auditors and admins read the audit log, also by a machine that acts for them."))
    return scope_of(caller.person)


def readers_only(view: Page) -> Page:
    """Send strangers to sign in, and refuse people without the right."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not may_read(request.user):
            raise PermissionDenied(_("Only auditors and admins read the audit log. Ask an admin for the role."))
        return view(request, **kwargs)

    return guarded
