"""Granting a token to an agent that acts on its own behalf: the policy decides, nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from aims.authentication.client import Client
from aims.authorization import queries
from aims.authorization.errors import AccessDenied, InteractionRequired
from aims.authorization.models import DelegationGrant
from aims.authorization.services import policy, tokens
from aims.authorization.services.gathering import issue
from aims.authorization.services.issuing import Issue, Seen
from aims.authorization.services.metering import shares_of, with_room
from aims.authorization.target import Target
from aims.authorization.tokens import LEAST, TokenFacts, confirmation, expiry
from aims.authorization.wanted import Wanted
from aims.identifier.models import Agent
from aims.kit.ids import new_ref
from aims.kit.kept import Kept
from aims.policy import queries as policies
from aims.policy.engine import Allow, Ask, Deny, PolicyFacts
from audit.write import inbox_payload

_known: Kept[tuple[str, int, str], list[DelegationGrant]] = Kept()


def grant(client: Client, target: Target, *, now: datetime) -> dict[str, Any]:
    """Return a token response.

    Raises AccessDenied, InteractionRequired, ProofReplayed, DpopReplayed, Outdated, BudgetSpent.

    One write: the proofs are spent, the token stored, the entry written, all of it only if agent, resource and policy
    are still what was decided on. A crash before its commit leaves nothing; after it, a row whose token nobody
    holds, which expires.
    """
    decided = decide(client, target, now=now)
    issue(decided)
    return decided.prepared.response()


def decide(client: Client, target: Target, *, now: datetime) -> Issue:
    """Return the token that is to be written. Writes nothing; what is in memory is read from there for who is recalled.

    Raises AccessDenied, InteractionRequired.
    """
    return made(planned(client, target, now=now), client, now=now)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an agent may have of a target, for each of its requests alike: everything about a token but its keys, names and times.

    Decided on what has a version (``seen``), on how the token will be bound, and on grants, which end. ends: of those
    that it rests on. policies: that allowed it.
    """

    agent: Agent
    target: Target
    policies: tuple[str, ...]
    ends: tuple[datetime, ...]
    seen: Seen

    def is_good(self, *, now: datetime) -> bool:
        """Return whether the grants that it rests on are still those that would be found."""
        return all(end > now + LEAST for end in self.ends)


def planned(client: Client, target: Target, *, now: datetime) -> Plan:
    """Return what the client may have. Raises AccessDenied, InteractionRequired."""
    agent = client.agent
    assert agent is not None
    covers = _covering(client, agent, target, now=now)
    allowed = _decide(client, agent, target, covers)
    seen = Seen(
        agent=agent,
        resource=target.resource,
        policy_version=allowed.version,
        policy_hash=allowed.hash,
        shares=shares_of((grant, item.detail) for grant, item in zip(covers, target.wanted, strict=True)),
    )
    # A grant that runs out by itself takes its tokens along, as one that is taken back does.
    ends = tuple(grant.until_at for grant in covers if grant)
    return Plan(agent=agent, target=target, policies=allowed.policies, ends=ends, seen=seen)


def made(plan: Plan, client: Client, *, now: datetime) -> Issue:
    """Return a token as planned, with its entry, for the proofs of one request."""
    target, facts = plan.target, facts_of(plan, client, txn=new_ref("txn"), now=now)
    prepared = tokens.prepare(facts, agent=plan.agent, request=None, now=now)
    event, mandatory = tokens.entry_of(
        prepared,
        actions=[item.action.name for item in target.wanted],
        policy_version=plan.seen.policy_version,
        policies=plan.policies,
    )
    payload = inbox_payload(event, by=client.identifier, facts=mandatory)
    return Issue(prepared=prepared, proofs=client.proofs, seen=plan.seen, payload=payload)


def facts_of(plan: Plan, client: Client, *, txn: str, now: datetime) -> TokenFacts:
    """Return what a token says. txn: its own."""
    return TokenFacts(
        client_id=client.identifier,
        subject=client.identifier,
        audience=plan.target.resource.identifier,
        scope=plan.target.scope,
        authorization_details=plan.target.details,
        txn=txn,
        expires_at=expiry(now=now, ends=plan.ends),
        approval=None,
        subject_signed=None,
        cnf=confirmation(client.jkt, client.x5t_s256),
    )


def _decide(client: Client, agent: Agent, target: Target, covers: Sequence[DelegationGrant | None]) -> Allow:
    active = policies.active(may_recall=client.is_recalled)
    decisions = [
        policies.decide(_policy_facts(client, agent, target, item, grant), active)
        for item, grant in zip(target.wanted, covers, strict=True)
    ]
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


def _covering(client: Client, agent: Agent, target: Target, *, now: datetime) -> list[DelegationGrant | None]:
    """Return the grant that covers each wanted action, has room, and lasts longest; None where none covers it."""
    grants = _grants(client, agent, target, now=now)
    kinds = [((item.detail or {}).get("type", ""), item.action.name) for item in target.wanted]
    found = [queries.covering(grants, actions=(name,), types=(kind,), now=now + LEAST) for kind, name in kinds]
    return [with_room(each, item.detail, now=now) for each, item in zip(found, target.wanted, strict=True)]


def _grants(client: Client, agent: Agent, target: Target, *, now: datetime) -> list[DelegationGrant]:
    """Return the agent's grants at the resource; from memory only with an agent from memory, of the same version."""
    resource = target.resource.identifier
    slot = (agent.ref, agent.version, resource)
    found = _known.get(slot) if client.is_recalled else None
    return _known.keep(slot, queries.grants_at(agent, resource, now=now)) if found is None else found


def _policy_facts(
    client: Client, agent: Agent, target: Target, item: Wanted, grant: DelegationGrant | None
) -> PolicyFacts:
    ref = grant.ref if grant else None
    return policy.facts_under(ref, agent, None, target.resource, item, binding=client.binding)
