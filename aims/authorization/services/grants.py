"""Delegation grants: what a person or the organisation lets an agent do. Bounded, visible, revocable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from aims.authorization.models import DelegationGrant
from aims.authorization.request_errors import AlreadyDecided, GrantRefused
from aims.authorization.request_events import GrantGiven, GrantRevoked
from aims.authorization.services.ending import GRANT_REVOKED, end_under
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.identifier.models import Agent, AgentState, Resource
from aims.identifier.services.agents import raise_version
from aims.people.models import User
from audit.write import Facts, record

UNTIL_MAX = timedelta(days=366)
ACTIONS_MAX = 50
MISSION_MAX = 400


@dataclass(frozen=True, kw_only=True)
class GiveGrant:
    """The terms of a grant. from_person: None for one of the organisation. detail_types: of the actions it names."""

    from_person: User | None
    agent: Agent
    resource: Resource
    actions: tuple[str, ...]
    detail_types: tuple[str, ...]
    until_at: datetime
    mission: str = ""


def give_grant(command: GiveGrant, *, by: str, now: datetime) -> DelegationGrant:
    """Store a grant and its entry. Raises GrantRefused."""
    _check(command, now=now)
    with transaction.atomic():
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
        )
        raise_version(command.agent.ref)
        event = GrantGiven(
            grant=grant.ref,
            from_person=command.from_person.ref if command.from_person else None,
            actions=list(grant.actions),
            detail_types=list(grant.detail_types),
            until=int(grant.until_at.timestamp()),
        )
        record(event, by=by, facts=_facts(grant, decision="allow", remediation=None))
    return grant


def revoke_grant(grant: DelegationGrant, *, by: str, now: datetime) -> None:
    """Take a grant back, from now on, with the tokens and waiting requests that only it allowed.

    Raises AlreadyDecided if it was taken back before.
    """
    with transaction.atomic():
        # The agent's row first, as everywhere: who issues, opens or redeems waits for us, or we for them.
        raise_version(grant.agent.ref)
        live = DelegationGrant.objects.filter(pk=grant.pk, revoked_at=None)
        if live.update(revoked_at=now, revoked_by=by) != 1:
            raise AlreadyDecided("This grant has been taken back before.", detail=grant.ref)
        event = GrantRevoked(grant=grant.ref, from_person=grant.from_person.ref if grant.from_person else None)
        record(event, by=by, facts=_facts(grant, decision="deny", remediation=GRANT_REVOKED))
        end_under(grant, by=by, now=now)


def revoke_all_of(agent: Agent, *, by: str, now: datetime) -> None:
    """Take back every live grant of an agent. Call it in a transaction."""
    live = DelegationGrant.objects.filter(agent=agent, revoked_at=None, until_at__gt=now)
    for grant in live.select_related("agent", "resource", "from_person"):
        revoke_grant(grant, by=by, now=now)


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
    if len(command.mission) > MISSION_MAX:
        raise GrantRefused(f"A mission has at most {MISSION_MAX} characters.")


def _facts(grant: DelegationGrant, *, decision: str, remediation: str | None) -> Facts:
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
