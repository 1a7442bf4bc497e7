"""Granting a token to an agent that acts on its own behalf: the policy decides, nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from aims.authentication.client import Client
from aims.authorization import queries
from aims.authorization.errors import AccessDenied, InteractionRequired
from aims.authorization.models import DelegationGrant
from aims.authorization.services import policy, tokens
from aims.authorization.services.issuing import Seen, issue
from aims.authorization.target import Target
from aims.authorization.tokens import LIFETIME_S, TokenFacts
from aims.authorization.wanted import Wanted
from aims.identifier.models import Agent
from aims.kit.ids import new_ref
from aims.kit.kept import Kept
from aims.policy import queries as policies
from aims.policy.engine import Allow, Ask, Deny, PolicyFacts
from audit.write import inbox_payload

_known: Kept[tuple[str, int, str], list[DelegationGrant]] = Kept()


def grant(client: Client, target: Target, *, now: datetime) -> dict[str, Any]:
    """Return a token response. Raises AccessDenied, InteractionRequired, ProofReplayed, Outdated.

    One write: the proof is spent, the token stored, the entry written, all of it only if agent, resource and policy
    are still what was decided on. A crash before its commit leaves nothing; after it, a row whose token nobody
    holds, which expires.
    """
    agent = client.agent
    assert agent is not None
    allowed = _decide(client, agent, target, now=now)
    prepared = tokens.prepare(_facts(client, target, now), agent=agent, request=None, now=now)
    event, facts = tokens.entry_of(
        prepared,
        actions=[item.action.name for item in target.wanted],
        policy_version=allowed.version,
        policies=allowed.policies,
    )
    seen = Seen(agent=agent, resource=target.resource, policy_version=allowed.version, policy_hash=allowed.hash)
    issue(prepared, proof=client.proof, seen=seen, payload=inbox_payload(event, by=client.identifier, facts=facts))
    return prepared.response()


def _decide(client: Client, agent: Agent, target: Target, *, now: datetime) -> Allow:
    active = policies.active(may_recall=client.is_recalled)
    grants = _grants(client, agent, target, now=now)
    decisions = [policies.decide(_policy_facts(agent, target, item, grants, now=now), active) for item in target.wanted]
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


def _grants(client: Client, agent: Agent, target: Target, *, now: datetime) -> list[DelegationGrant]:
    """Return the agent's grants at the resource; from memory only with an agent from memory, of the same version."""
    resource = target.resource.identifier
    slot = (agent.ref, agent.version, resource)
    found = _known.get(slot) if client.is_recalled else None
    return _known.keep(slot, queries.grants_at(agent, resource, now=now)) if found is None else found


def _policy_facts(
    agent: Agent, target: Target, item: Wanted, grants: Sequence[DelegationGrant], *, now: datetime
) -> PolicyFacts:
    kind = (item.detail or {}).get("type", "")
    found = queries.covering(grants, actions=(item.action.name,), types=(kind,), now=now)
    return policy.facts_under(found[0].ref if found else None, agent, None, target.resource, item)


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
