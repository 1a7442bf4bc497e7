"""Stopping agents: their state, their waiting requests and their tokens move together."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from aims.authorization.client_errors import AwaitsAdmission
from aims.authorization.client_models import ClientRegistration
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services.ending import end_tokens_of
from aims.authorization.services.grants import hold_all_of, revoke_all_of
from aims.authorization.services.requests import cancel_all_of
from aims.identifier.models import Agent, AgentState
from aims.identifier.services import agents as identifier
from aims.kit.nudge import Topic, nudge


def suspend_agent(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """Suspend an agent, withdraw what it waits for, end its tokens; at once and together. Raises UnlawfulMove."""
    with transaction.atomic():
        identifier.suspend(agent, reason=reason, by=by, now=now)
        _end_everything(agent, by=by, reason="agent_suspended", now=now)


def resume_agent(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """Let a suspended agent act again; what was withdrawn stays so.

    Not one whose registration changed since it was admitted: an admin looks at that, and admits it
    first. Raises UnlawfulMove, AwaitsAdmission.
    """
    with transaction.atomic():
        # The registration's row comes before its agent's, as where a change of it suspends.
        held = ClientRegistration.objects.select_for_update().filter(agent=agent).first()
        if held is not None and held.state != RegistrationState.ADMITTED:
            raise AwaitsAdmission(detail=held.ref)
        identifier.resume(agent, reason=reason, by=by, now=now)


def retire_agent(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """End an agent for ever, with its requests, tokens and grants. Raises UnlawfulMove."""
    with transaction.atomic():
        hold_all_of(agent, now=now)
        identifier.retire(agent, reason=reason, by=by, now=now)
        _end_everything(agent, by=by, reason="agent_retired", now=now)
        revoke_all_of(agent, by=by, now=now)


def stop_everything(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """The red button: suspend (unless it is), withdraw, end tokens, and take every grant back."""
    with transaction.atomic():
        hold_all_of(agent, now=now)
        held = Agent.objects.select_for_update(no_key=True).get(pk=agent.pk)
        if held.state == AgentState.ACTIVE:
            identifier.suspend(agent, reason=reason, by=by, now=now)
        _end_everything(agent, by=by, reason="stopped", now=now)
        revoke_all_of(agent, by=by, now=now)


def _end_everything(agent: Agent, *, by: str, reason: str, now: datetime) -> None:
    cancel_all_of(agent, by=by, reason=reason, now=now)
    end_tokens_of(agent, reason=reason, by=by, now=now)
    nudge(Topic.INBOX, to=[agent.owner.ref])
