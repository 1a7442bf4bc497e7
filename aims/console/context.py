"""The frame around every page: where one can go, who one is, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from aims.authorization.queries import waiting_count
from aims.kit import clock
from aims.observability.queries import waiting_count as findings_waiting
from aims.people.queries import roles_held
from audit.read import scope_of

# label, address, icon, who sees it (empty: everyone who is signed in)
_MINE = (
    (gettext_noop("Home"), "/", "home", frozenset[str]()),
    (gettext_noop("Inbox"), "/inbox/", "inbox", frozenset[str]()),
    (gettext_noop("My agents"), "/me/agents/", "robot", frozenset({"owner", "approver"})),
)
_HOUSE = (
    (gettext_noop("Agents"), "/agents/", "plug", frozenset({"admin", "auditor", "owner"})),
    (gettext_noop("Resources"), "/resources/", "server", frozenset({"admin", "auditor", "owner"})),
    (gettext_noop("Grants"), "/grants/", "key", frozenset[str]()),
    (gettext_noop("Policies"), "/policies/", "gavel", frozenset({"admin", "auditor", "owner"})),
    (gettext_noop("Audit"), "/audit/", "list-search", frozenset({"admin", "auditor"})),
    (gettext_noop("Findings"), "/findings/", "alert-triangle", frozenset({"admin", "auditor"})),
    (gettext_noop("Compliance"), "/compliance/", "rosette-discount-check", frozenset({"admin", "auditor"})),
    (gettext_noop("People"), "/people/", "users", frozenset({"admin"})),
)
_READERS = frozenset({"admin", "auditor"})
_ASIDE = {"/chains/": "/grants", "/trust/": "/agents"}  # pages that are about what stands at another place
_Row = tuple[str, str, str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One place to go. ``count`` is what waits there, 0 where nothing is counted."""

    label: str
    href: str
    icon: str
    count: int
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What base.html needs. ``person`` is None on the pages that one sees before signing in."""

    person: Any
    mine: tuple[Item, ...] = ()
    house: tuple[Item, ...] = ()
    waiting: int = 0


def frame(request: HttpRequest) -> dict[str, Any]:
    """Put the frame into every page, evaluated only where a template asks for it."""
    return {"frame": SimpleLazyObject(lambda: _frame(request))}


def _frame(request: HttpRequest) -> Frame:
    person = getattr(request, "user", None)
    if person is None or not person.is_authenticated:
        return Frame(person=None)
    roles, waiting = roles_held(person, at=clock.now()), waiting_count(person)
    counts = {"/inbox/": waiting, "/findings/": findings_waiting(scope_of(person)) if roles & _READERS else 0}
    current = _current(request.path, (row[1] for row in _MINE + _HOUSE))
    return Frame(
        person=person,
        mine=tuple(_item(row, current=current, counts=counts) for row in _MINE if _sees(row, roles)),
        house=tuple(_item(row, current=current, counts=counts) for row in _HOUSE if _sees(row, roles)),
        waiting=waiting,
    )


def _sees(row: _Row, roles: frozenset[str]) -> bool:
    return not row[3] or bool(row[3] & roles)


def _current(path: str, places: Any) -> str:
    """Return the longest address that ``path`` lies under, so that a place inside another lights up alone."""
    for prefix, place in _ASIDE.items():
        path = f"{place}{path}" if path.startswith(prefix) else path
    return max((href for href in places if path.startswith(href) and (href != "/" or path == "/")), key=len, default="")


def _item(row: _Row, *, current: str, counts: Mapping[str, int]) -> Item:
    label, href, icon, _roles = row
    return Item(label=_(label), href=href, icon=icon, count=counts.get(href, 0), is_current=href == current)
