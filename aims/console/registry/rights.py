"""Who may see which grants, and who may narrow them, take them back, and pass them on."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from aims.authorization.models import DelegationGrant
from aims.console.management import audience
from aims.people.models import User

_JOINED = ("agent__owner", "resource", "from_person", "parent__agent", "approval")


def sees_all(person: User) -> bool:
    """Return whether this person sees everybody's grants and chains."""
    return person.has_role("admin") or person.has_role("auditor")


def visible_to(person: User) -> QuerySet[DelegationGrant]:
    """Return the grants that this person may see: all of them, or what they gave, passed on, or answer for."""
    rows = DelegationGrant.objects.select_related(*_JOINED)
    if sees_all(person):
        return rows
    return rows.filter(Q(from_person=person) | Q(agent__owner=person) | Q(given_by=person.ref, parent__isnull=False))


def may_end(person: User, grant: DelegationGrant) -> bool:
    """Return whether this person may narrow a grant or take it back: who gave it or passed it on, or an admin."""
    has_passed_it_on = grant.parent_id is not None and grant.given_by == person.ref
    return grant.from_person_id == person.pk or has_passed_it_on or person.has_role("admin")


def may_pass_on(person: User, grant: DelegationGrant) -> bool:
    """Return whether this person may pass a grant on: its giver, who answers for its agent, or an admin.

    At our own API only admins may, as with giving.
    """
    if person.has_role("admin"):
        return True
    is_theirs = person.pk in (grant.from_person_id, grant.agent.owner_id)
    return is_theirs and grant.resource.identifier != audience()
