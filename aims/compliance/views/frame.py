"""What every page of this room has in common: who may enter, and where one can go from it."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from aims.people.access import requires_role
from aims.people.models import Role, User
from audit.read import scope_of

readers_only = requires_role(Role.ADMIN, Role.AUDITOR)
admins_only = requires_role(Role.ADMIN)

_EVERYBODY, _WHOLE, _ADMIN = "everybody", "whole", "admin"
# name of the address, label, who sees it
_TABS = (
    ("compliance", gettext_noop("Requirements"), _EVERYBODY),
    ("compliance-fleet", gettext_noop("Scorecard"), _EVERYBODY),
    ("consents", gettext_noop("Consents"), _WHOLE),
    ("keeping", gettext_noop("Keeping"), _WHOLE),
    ("reading", gettext_noop("What I read"), _EVERYBODY),
    ("seats", gettext_noop("Auditors"), _ADMIN),
)


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One view of this room."""

    label: str
    href: str
    is_current: bool
    count: str = ""


def tabs(person: User, here: str) -> list[Tab]:
    """Return where this person can go in this room. here: the name of the address shown."""
    seen = {_EVERYBODY}
    if scope_of(person).is_whole:
        seen.add(_WHOLE)
    if person.has_role(Role.ADMIN):
        seen.add(_ADMIN)
    return [
        Tab(label=_(label), href=reverse(name), is_current=name == here) for name, label, who in _TABS if who in seen
    ]
