"""Verbs on agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from aims.identifier.errors import (
    IdentifierTaken,
    OwnerRefused,
    UnknownTrustDomain,
    UnlawfulMove,
)
from aims.identifier.events import (
    AgentChanged,
    AgentRegistered,
    AgentResumed,
    AgentRetired,
    AgentSuspended,
    AgentTransferred,
)
from aims.identifier.models import Agent, AgentState, TrustDomain
from aims.identifier.services.record import registry_facts
from aims.identifier.services.text import (
    CONTACT_MAX,
    NAME_MAX,
    PURPOSE_MAX,
    REASON_MAX,
    checked,
)
from aims.identifier.states import sources_of
from aims.identifier.uri import parse_agent, parse_published
from aims.people.models import Group, User
from audit.write import Event, Facts, record

Move = Callable[..., Event]


@dataclass(frozen=True, kw_only=True)
class RegisterAgent:
    """A new agent. related_groups: whose members it may ask (besides its owner and those who gave it a grant).

    is_published: its identifier is the https address of its client metadata document, which nobody types in.
    """

    identifier: str
    name: str
    purpose: str
    contact: str
    owner: User
    related_groups: tuple[Group, ...] = ()
    is_published: bool = False


@dataclass(frozen=True, kw_only=True)
class UpdateAgent:
    """What may change about an agent. Its identifier may not (draft-ietf-wimse-aims §6)."""

    name: str
    purpose: str
    contact: str
    related_groups: tuple[Group, ...]


def register_agent(command: RegisterAgent, *, by: str, now: datetime) -> Agent:
    """Register an agent, active at once. Its keys follow (``credentials.services``).

    Raises IdentifierRefused, UnknownTrustDomain, IdentifierTaken, OwnerRefused, FieldRefused.
    """
    identifier = (parse_published if command.is_published else parse_agent)(command.identifier)
    _check_owner(command.owner)
    domain = TrustDomain.objects.filter(name=identifier.trust_domain, retired_at=None).first()
    if domain is None:
        raise UnknownTrustDomain()
    agent = Agent(
        identifier=str(identifier),
        trust_domain=domain,
        owner=command.owner,
        state_since_at=now,
        registered_at=now,
        **_texts(command),
    )
    with transaction.atomic():
        _insert(agent)
        agent.related_groups.set(command.related_groups)
        event = AgentRegistered(agent=agent.ref, owner=agent.owner.ref, version=agent.version)
        record(event, by=by, facts=_facts(agent))
    return agent


def update_agent(agent: Agent, command: UpdateAgent, *, by: str, now: datetime) -> tuple[str, ...]:
    """Change the texts and related groups of an agent; return the names of the fields that changed. None, no entry.

    Raises FieldRefused, UnlawfulMove.
    """
    texts = _texts(command)
    groups = {group.pk for group in command.related_groups}
    with transaction.atomic():
        row = _locked(agent)
        if row.state == AgentState.RETIRED:
            raise UnlawfulMove("A retired agent does not change any more.")
        fields = sorted(name for name, text in texts.items() if getattr(row, name) != text)
        if groups != set(row.related_groups.values_list("pk", flat=True)):
            fields.append("related_groups")
        if not fields:
            return ()
        Agent.objects.filter(pk=row.pk).update(version=F("version") + 1, **texts)
        row.related_groups.set(command.related_groups)
        agent.refresh_from_db()
        record(
            AgentChanged(agent=agent.ref, fields=fields, version=agent.version),
            by=by,
            facts=_facts(agent),
        )
    return tuple(fields)


def transfer_owner(agent: Agent, *, to: User, by: str, now: datetime) -> bool:
    """Make another person answer for an agent; return whether it was another. Raises OwnerRefused, UnlawfulMove."""
    _check_owner(to)
    with transaction.atomic():
        row = _locked(agent)
        if row.state == AgentState.RETIRED:
            raise UnlawfulMove("A retired agent does not change any more.")
        if row.owner_id == to.pk:
            return False
        before = row.owner.ref
        Agent.objects.filter(pk=row.pk).update(owner=to, version=F("version") + 1)
        agent.refresh_from_db()
        event = AgentTransferred(agent=agent.ref, owner_before=before, owner=to.ref, version=agent.version)
        record(event, by=by, facts=_facts(agent))
    return True


def suspend(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """Stop an agent: every endpoint and every redemption asks for its state. Raises UnlawfulMove, FieldRefused."""
    _move(agent, AgentState.SUSPENDED, AgentSuspended, reason=reason, by=by, now=now)


def resume(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """Let a suspended agent act again. What was cancelled meanwhile stays cancelled. Raises UnlawfulMove."""
    _move(agent, AgentState.ACTIVE, AgentResumed, reason=reason, by=by, now=now)


def retire(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """End an agent for ever. Its row and its identifier stay taken. Raises UnlawfulMove, FieldRefused."""
    _move(agent, AgentState.RETIRED, AgentRetired, reason=reason, by=by, now=now)


def raise_version(agent_ref: str) -> int:
    """Count a change of an agent's keys or grants, inside the caller's transaction; return the new version."""
    Agent.objects.filter(ref=agent_ref).update(version=F("version") + 1)
    return Agent.objects.values_list("version", flat=True).get(ref=agent_ref)


def _move(agent: Agent, to: AgentState, event: Move, *, reason: str, by: str, now: datetime) -> None:
    """Move an agent's state; whoever moves no row gets UnlawfulMove."""
    words = checked(
        reason,
        field="reason",
        max_length=REASON_MAX,
        may_be_empty=to == AgentState.ACTIVE,
    )
    with transaction.atomic():
        moved = Agent.objects.filter(pk=agent.pk, state__in=sources_of(to)).update(
            state=to, state_reason=words, state_since_at=now, version=F("version") + 1
        )
        if moved != 1:
            raise UnlawfulMove(detail=f"{agent.ref} to {to}")
        agent.refresh_from_db()
        record(event(agent=agent.ref, version=agent.version), by=by, facts=_facts(agent))


def _insert(agent: Agent) -> None:
    """Insert the row; the unique identifier is what decides between two that come at once."""
    try:
        with transaction.atomic():
            agent.save(force_insert=True)
    except IntegrityError as error:
        raise IdentifierTaken() from error


def _texts(command: RegisterAgent | UpdateAgent) -> dict[str, str]:
    return {
        "name": checked(command.name, field="name", max_length=NAME_MAX),
        "purpose": checked(command.purpose, field="purpose", max_length=PURPOSE_MAX),
        "contact": checked(command.contact, field="contact", max_length=CONTACT_MAX),
    }


def _check_owner(owner: User) -> None:
    if not owner.is_active:
        raise OwnerRefused()


def _locked(agent: Agent) -> Agent:
    return Agent.objects.select_for_update().get(pk=agent.pk)


def _facts(agent: Agent) -> Facts:
    return registry_facts(agent=agent.identifier, subject=agent.owner.ref)
