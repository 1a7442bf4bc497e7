"""Who may see which grants and chains, and who may narrow grants, take them back, and pass them on.

An auditor sees what their seat before the log opens: the same agents here as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from django.db.models import Q, QuerySet

from aims.authorization.chains import Hop, Path
from aims.authorization.models import AccessToken, DelegationGrant
from aims.console.management import audience
from aims.people.models import User
from audit.read import EVERYTHING, Scope, scope_of

_JOINED = ("agent__owner", "resource", "from_person", "parent__agent", "approval")


def sees_all(person: User) -> bool:
    """Return whether this person sees everybody's grants and chains."""
    return scope_of(person).agents is None


def reads_log(person: User) -> bool:
    """Return whether this person reads the log, or a part of it."""
    return person.has_role("admin") or person.has_role("auditor")


def is_cut(person: User) -> bool:
    """Return whether this person reads the log, and their seat opens some agents only: lists say so."""
    return reads_log(person) and not sees_all(person)


def visible_to(person: User) -> QuerySet[DelegationGrant]:
    """Return the grants that this person may see: what they gave, passed on or answer for, and of agents of their seat."""
    rows, opened = DelegationGrant.objects.select_related(*_JOINED), scope_of(person).agents
    if opened is None:
        return rows
    passed_on = Q(given_by=person.ref, parent__isnull=False)
    return rows.filter(Q(from_person=person) | Q(agent__owner=person) | passed_on | Q(agent__identifier__in=opened))


def scope_on(person: User, grant: DelegationGrant) -> Scope:
    """Return what this person may see of what hangs on a grant: all of it where it is theirs, else what their seat opens."""
    is_theirs = person.pk in (grant.from_person_id, grant.agent.owner_id)
    has_passed_it_on = grant.parent_id is not None and grant.given_by == person.ref
    return EVERYTHING if is_theirs or has_passed_it_on else scope_of(person)


def hops_seen(person: User, tops: list[Hop]) -> list[Hop]:
    """Return what this person may see of a chain: all of it where they have a part in it, else the hops that their seat opens.

    A hop that is left out leaves no trace: what was exchanged for it stands in its place.
    """
    hops = [hop for top in tops for hop in top.walk()]
    is_theirs = any(
        hop.token.subject_ref == person.ref
        or (hop.token.agent is not None and hop.token.agent.owner_id == person.pk)
        or any(grant.from_person_id == person.pk for grant in hop.grants)
        for hop in hops
    )
    scope = scope_of(person)
    return tops if is_theirs or scope.is_whole else list(_within(tops, scope))


def paths_seen(scope: Scope, paths: Iterable[Path]) -> list[Path]:
    """Return the paths that go through agents of a scope only."""
    return [path for path in paths if all(scope.covers_agent(grant.agent.identifier) for grant in path.grants)]


def tokens_seen(scope: Scope, tokens: Iterable[AccessToken]) -> list[AccessToken]:
    """Return the tokens of agents of a scope."""
    return [token for token in tokens if token.agent is not None and scope.covers_agent(token.agent.identifier)]


def _within(hops: Iterable[Hop], scope: Scope) -> Iterator[Hop]:
    for hop in hops:
        below, agent, at = list(_within(hop.below, scope)), hop.token.agent, hop.token.issued_at or hop.token.created
        if agent and scope.covers_agent(agent.identifier) and scope.covers_moment(at):
            yield replace(hop, below=below)
        else:
            yield from below


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
