"""Delegation grants: what a person or the organisation lets an agent do. Bounded, visible, revocable.

Several agents' rows are locked where a grant was passed on: in the order of their keys, before anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from aims.authorization import budget
from aims.authorization.impact import Change, family_of, narrowing, revoking
from aims.authorization.models import DEPTH_MAX, ApprovalRequest, DelegationGrant
from aims.authorization.queries import state_of
from aims.authorization.request_errors import AlreadyDecided, GrantChanged, GrantRefused
from aims.authorization.request_events import GrantExpired, GrantGiven, GrantNarrowed, GrantRevoked
from aims.authorization.services.ending import GRANT_EXPIRED, GRANT_NARROWED, GRANT_REVOKED, end_under
from aims.authorization.services.metering import lineage_of, set_limits
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.identifier.models import Agent, AgentState, Resource
from aims.identifier.services.agents import raise_version
from aims.kit.nudge import Topic, nudge
from aims.people.models import User
from audit.write import Facts, record

UNTIL_MAX = timedelta(days=366)
ACTIONS_MAX = 50
MISSION_MAX = 400


@dataclass(frozen=True, kw_only=True)
class GiveGrant:
    """The terms of a grant. from_person: None for one of the organisation. detail_types: of the actions it names.

    starts_at: None for now. budget: as ``budget.checked`` takes it. depth: hops it may be passed on. parent: the grant of
    another agent that this one is a part of. approval: the request in which a person said yes to it.
    """

    from_person: User | None
    agent: Agent
    resource: Resource
    actions: tuple[str, ...]
    detail_types: tuple[str, ...]
    until_at: datetime
    mission: str = ""
    starts_at: datetime | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0
    parent: DelegationGrant | None = None
    approval: ApprovalRequest | None = None


@dataclass(frozen=True, kw_only=True)
class NarrowGrant:
    """The terms that a grant has from now on; each at most what it was."""

    actions: tuple[str, ...]
    detail_types: tuple[str, ...]
    until_at: datetime
    budget: Mapping[str, Any]
    depth: int


def give_grant(command: GiveGrant, *, by: str, now: datetime) -> DelegationGrant:
    """Store a grant and its entry. Raises GrantRefused."""
    _check(command, now=now)
    with transaction.atomic():
        # The agents' rows first, as everywhere: who narrows or takes back what this is a part of waits, or we do.
        _hold([command.agent, *([command.parent.agent] if command.parent else [])])
        if command.parent is not None:
            _check_part(command, DelegationGrant.objects.get(pk=command.parent.pk), now=now)
        grant = DelegationGrant.objects.create(
            from_person=command.from_person,
            agent=command.agent,
            resource=command.resource,
            actions=sorted(set(command.actions)),
            detail_types=sorted(set(command.detail_types)),
            mission=command.mission,
            given_by=by,
            given_at=now,
            until_at=command.until_at,
            starts_at=command.starts_at,
            budget=budget.checked(command.budget),
            depth=command.depth,
            parent=command.parent,
            approval=command.approval,
        )
        set_limits(grant)
        record(_given(grant), by=by, facts=entry_facts(grant, decision="allow", remediation=None))
    return grant


def checked_terms(grant: DelegationGrant, command: NarrowGrant, *, now: datetime) -> dict[str, Any]:
    """Return the narrower terms by field. Raises GrantRefused where one is wider, or nothing changes."""
    if state_of(grant, now=now) in ("revoked", "expired"):
        raise GrantRefused("This grant has ended. There is nothing to narrow.")
    if not command.actions or not set(command.actions) <= set(grant.actions):
        raise GrantRefused("A narrower grant keeps some of its actions and gets no others.")
    if not set(command.detail_types) <= set(grant.detail_types):
        raise GrantRefused("A narrower grant gets no other types.")
    if not now < command.until_at <= grant.until_at:
        raise GrantRefused("A narrower grant does not end later, nor in the past.")
    if not 0 <= command.depth <= grant.depth:
        raise GrantRefused("A narrower grant is passed on no further.")
    spends = _checked_budget(command.budget)
    if not budget.is_within(spends, grant.budget):
        raise GrantRefused("A narrower grant has no larger budget.")
    terms = {
        "actions": sorted(set(command.actions)),
        "detail_types": sorted(set(command.detail_types)),
        "until_at": command.until_at,
        "budget": spends,
        "depth": command.depth,
    }
    if all(getattr(grant, name) == value for name, value in terms.items()):
        raise GrantRefused("Nothing is narrower than before.")
    return terms


def narrow_grant(
    grant: DelegationGrant, command: NarrowGrant, *, by: str, now: datetime, seen_version: int | None = None
) -> None:
    """Let a grant allow less from now on; what no longer fits falls, below it too.

    seen_version: what the caller had before them, if it must still be so. Raises GrantRefused, AlreadyDecided, GrantChanged.
    """
    with transaction.atomic():
        _hold_family([grant])
        held = _standing(grant, seen_version)
        _carry_out(narrowing(held, **checked_terms(held, command, now=now)), by=by, now=now, reason=GRANT_NARROWED)


def revoke_grant(grant: DelegationGrant, *, by: str, now: datetime, seen_version: int | None = None) -> None:
    """Take a grant back, from now on, with all it was passed on as, and the tokens and requests that only these allowed.

    seen_version: as for ``narrow_grant``. Raises AlreadyDecided if it was taken back before, GrantChanged.
    """
    with transaction.atomic():
        _hold_family([grant])
        _carry_out(revoking(_standing(grant, seen_version)), by=by, now=now, reason=GRANT_REVOKED)


def revoke_all_of(agent: Agent, *, by: str, now: datetime) -> None:
    """Take back every live grant of an agent. Call it in a transaction, after ``hold_all_of``."""
    for grant in _live_of(agent, now=now):
        revoke_grant(grant, by=by, now=now)


def hold_all_of(agent: Agent, *, now: datetime) -> None:
    """Lock the agents that taking back all of an agent's grants concerns; first in the transaction."""
    _hold_family(_live_of(agent, now=now))


def expire_grant(grant: DelegationGrant, *, now: datetime) -> bool:
    """Record that a grant has run out, once, and withdraw what waited on it; return whether it was us."""
    with transaction.atomic():
        _hold([grant.agent])
        due = DelegationGrant.objects.filter(pk=grant.pk, revoked_at=None, expired_at=None, until_at__lte=now)
        if due.update(expired_at=now) != 1:
            return False
        event = GrantExpired(grant=grant.ref, from_person=_giver(grant))
        record(event, by="system", facts=entry_facts(grant, decision="not_applicable", remediation=GRANT_EXPIRED))
        end_under(grant, by="system", now=now, reason=GRANT_EXPIRED)
    return True


def _check(command: GiveGrant, *, now: datetime) -> None:
    known = list(command.resource.actions.all())
    if command.resource.retired_at is not None or command.agent.state == AgentState.RETIRED:
        raise GrantRefused("The agent or the resource is retired.")
    if not 1 <= len(command.actions) <= ACTIONS_MAX or not set(command.actions) <= {row.name for row in known}:
        raise GrantRefused("Name actions that the resource has.")
    types = {row.detail_type for row in known if row.name in command.actions and row.detail_type}
    if not set(command.detail_types) <= types:
        raise GrantRefused("Name only types that these actions ask for.")
    if not now < command.until_at <= now + UNTIL_MAX:
        raise GrantRefused("A grant ends, within a year.")
    if command.starts_at is not None and command.starts_at >= command.until_at:
        raise GrantRefused("A grant begins before it ends.")
    if len(command.mission) > MISSION_MAX:
        raise GrantRefused(f"A mission has at most {MISSION_MAX} characters.")
    if not 0 <= command.depth <= DEPTH_MAX:
        raise GrantRefused(f"A grant is passed on {DEPTH_MAX} times at most.")
    _checked_budget(command.budget)


def _check_part(command: GiveGrant, parent: DelegationGrant, *, now: datetime) -> None:
    """Hold a grant to the one that it is a part of, whose agent's row is locked."""
    if state_of(parent, now=now) in ("revoked", "expired"):
        raise GrantRefused("The grant that this is a part of has ended.")
    if command.depth >= parent.depth:
        raise GrantRefused("The grant may not be passed on so far.")
    if command.agent.pk in {above.agent_id for above in lineage_of(parent)}:
        raise GrantRefused("The agent is one of those that pass this on.")
    is_of_it = command.resource.pk == parent.resource_id and (command.from_person and command.from_person.pk) == (
        parent.from_person_id
    )
    if not is_of_it or not set(command.actions) <= set(parent.actions):
        raise GrantRefused("Pass on only what the grant allows, at its resource and from its giver.")
    if not set(command.detail_types) <= set(parent.detail_types) or command.until_at > parent.until_at:
        raise GrantRefused("Pass on no other types, and nothing for longer.")
    if parent.starts_at is not None and (command.starts_at or now) < parent.starts_at:
        raise GrantRefused("What is passed on begins no sooner.")
    if not budget.is_within(budget.checked(command.budget), parent.budget):
        raise GrantRefused("What is passed on has no larger budget, limit by limit.")


def _checked_budget(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return budget.checked(given)
    except budget.BudgetRefused as error:
        raise GrantRefused(str(error)) from error


def _hold(agents: Iterable[Agent]) -> None:
    for ref in [agent.ref for agent in sorted(set(agents), key=lambda agent: int(agent.pk))]:
        raise_version(ref)


def _hold_family(grants: Sequence[DelegationGrant]) -> None:
    """Lock the agents of these grants and of all that they were passed on as. Raises AlreadyDecided."""
    held = {each.agent for grant in grants for each in family_of(grant)}
    _hold(held)
    if not {each.agent for grant in grants for each in family_of(grant)} <= held:
        raise AlreadyDecided("This grant was passed on meanwhile. Nothing was changed; look at it again.")


def _live_of(agent: Agent, *, now: datetime) -> list[DelegationGrant]:
    live = DelegationGrant.objects.filter(agent=agent, revoked_at=None, until_at__gt=now)
    return list(live.select_related("agent", "resource", "from_person"))


def _standing(grant: DelegationGrant, seen_version: int | None) -> DelegationGrant:
    """Return a grant as it is now, its agent's row locked. Raises AlreadyDecided if it was taken back, GrantChanged."""
    rows = DelegationGrant.objects.select_related("agent", "resource", "from_person")
    held = rows.filter(pk=grant.pk, revoked_at=None).first()
    if held is None:
        raise AlreadyDecided("This grant has been taken back before.", detail=grant.ref)
    if seen_version not in (None, held.version):
        raise GrantChanged(detail=grant.ref)
    return held


def _carry_out(changes: Sequence[Change], *, by: str, now: datetime, reason: str) -> None:
    """Write every change with its entry, then end what stood on them; all rows first, so that none counts for another."""
    for change in changes:
        if change.after is None:
            _write_revoked(change.before, by=by, now=now)
        else:
            _write_narrowed(change.after, by=by, now=now)
    for change in changes:
        end_under(change.before, by=by, now=now, reason=reason)
    nudge(Topic.INBOX, to={ref for change in changes for ref in _concerned(change.before)})


def _concerned(grant: DelegationGrant) -> list[str]:
    """Return who may have this grant before them."""
    return [person.ref for person in (grant.from_person, grant.agent.owner) if person is not None]


def _write_revoked(grant: DelegationGrant, *, by: str, now: datetime) -> None:
    live = DelegationGrant.objects.filter(pk=grant.pk, revoked_at=None)
    if live.update(revoked_at=now, revoked_by=by) != 1:
        raise AlreadyDecided("This grant has been taken back before.", detail=grant.ref)
    event = GrantRevoked(grant=grant.ref, from_person=_giver(grant))
    record(event, by=by, facts=entry_facts(grant, decision="deny", remediation=GRANT_REVOKED))


def _write_narrowed(grant: DelegationGrant, *, by: str, now: datetime) -> None:
    names = ("actions", "detail_types", "until_at", "budget", "depth")
    terms: dict[str, Any] = {name: getattr(grant, name) for name in names}
    live = DelegationGrant.objects.filter(pk=grant.pk, revoked_at=None)
    if live.update(**terms, narrowed_at=now, warned_at=None) != 1:
        raise AlreadyDecided("This grant has been taken back before.", detail=grant.ref)
    set_limits(grant)
    event = GrantNarrowed(
        grant=grant.ref,
        from_person=_giver(grant),
        actions=list(grant.actions),
        detail_types=list(grant.detail_types),
        until=int(grant.until_at.timestamp()),
        depth=grant.depth,
        budget=grant.budget,
    )
    record(event, by=by, facts=entry_facts(grant, decision="deny", remediation=GRANT_NARROWED))


def _given(grant: DelegationGrant) -> GrantGiven:
    return GrantGiven(
        grant=grant.ref,
        from_person=_giver(grant),
        actions=list(grant.actions),
        detail_types=list(grant.detail_types),
        until=int(grant.until_at.timestamp()),
        starts=int(grant.starts_at.timestamp()) if grant.starts_at else None,
        depth=grant.depth,
        budget=grant.budget,
        parent=grant.parent.ref if grant.parent else None,
        approval=grant.approval.ref if grant.approval else None,
    )


def _giver(grant: DelegationGrant) -> str | None:
    return grant.from_person.ref if grant.from_person else None


def entry_facts(grant: DelegationGrant, *, decision: str, remediation: str | None) -> Facts:
    """Return what every entry about a grant says besides the event itself."""
    return Facts(
        agent=grant.agent.identifier,
        subject=grant.from_person.ref if grant.from_person else None,
        resource=grant.resource.identifier,
        action=",".join(grant.actions),
        decision=decision,
        txn=None,
        posture=POSTURE_UNKNOWN,
        remediation=remediation,
    )
