"""Granting a token to an agent that acts on its own behalf: the policy decides, nobody is asked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client, spend
from aims.authorization.errors import AccessDenied, InteractionRequired
from aims.authorization.services import policy, tokens
from aims.authorization.target import Target
from aims.authorization.tokens import LIFETIME_S, TokenFacts
from aims.identifier.models import Agent
from aims.kit.ids import new_ref
from aims.policy import queries as policies
from aims.policy.engine import Allow, Ask, Deny, evaluate


def grant(client: Client, target: Target, *, now: datetime) -> dict[str, Any]:
    """Return a token response. Raises AccessDenied, InteractionRequired, ProofReplayed.

    One write transaction: the proof is spent, the token stored, the entry written. A crash before its commit leaves
    nothing; after it, a row whose token nobody holds, which expires.
    """
    agent = client.agent
    assert agent is not None
    allowed = _decide(agent, target, now=now)
    prepared = tokens.prepare(_facts(client, target, now), agent=agent, request=None, now=now)
    with transaction.atomic():
        spend(client.proof)
        _still_as_seen(agent)
        tokens.save(
            prepared,
            actions=[item.action.name for item in target.wanted],
            policy_version=allowed.version,
            policies=allowed.policies,
        )
    return prepared.response()


def _decide(agent: Agent, target: Target, *, now: datetime) -> Allow:
    active = policies.active()
    facts = [policy.facts_for(agent, None, target.resource, item, now=now) for item in target.wanted]
    decisions = [evaluate(each, policy=active) for each in facts]
    # Several details: the strictest wins, and one no is a no to all.
    for decision in decisions:
        if isinstance(decision, Deny):
            raise AccessDenied(detail=decision.reason, policies=tuple(decision.policies))
    named = tuple(dict.fromkeys(name for decision in decisions for name in decision.policies))
    if any(isinstance(decision, Ask) for decision in decisions):
        raise InteractionRequired(
            f"A person must decide this. Ask at {settings.ISSUER}/oauth/bc-authorize.", policies=named
        )
    return Allow(policies=named, version=decisions[0].version, hash=decisions[0].hash)


def _facts(client: Client, target: Target, now: datetime) -> TokenFacts:
    return TokenFacts(
        client_id=client.identifier,
        subject=client.identifier,
        audience=target.resource.identifier,
        scope=target.scope,
        authorization_details=target.details,
        txn=new_ref("txn"),
        expires_at=(now + timedelta(seconds=LIFETIME_S)).replace(microsecond=0),
        approval=None,
        subject_signed=None,
    )


def _still_as_seen(agent: Agent) -> None:
    """Refuse if agent, keys or grants changed since they were read; the lock makes a suspension wait for us."""
    if not Agent.objects.select_for_update().filter(pk=agent.pk, version=agent.version, state=agent.state).exists():
        raise AccessDenied("The registration changed meanwhile. Try again.", detail="changed")
