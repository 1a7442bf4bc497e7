"""What the policy and the grants say about who goes on with a token, and about the call that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from aims.authorization import queries
from aims.authorization.errors import InteractionRequired, InvalidRequest, InvalidTarget, OAuthError
from aims.authorization.services import policy
from aims.authorization.services.metering import Share, shares_of, with_room
from aims.authorization.target import Target
from aims.authorization.tokens import LEAST
from aims.identifier.models import Agent
from aims.people.models import User
from aims.policy import queries as policies
from aims.policy.engine import Ask, Decision, Deny, evaluate


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Which policies said yes, and what the token takes from the grants that it rests on."""

    version: int
    policies: tuple[str, ...]
    shares: tuple[Share, ...]


def judge(
    agent: Agent,
    person: User | None,
    target: Target,
    *,
    home: str | None,
    binding: str,
    now: datetime,
    denied: type[OAuthError] = InvalidRequest,
) -> Allowed:
    """Return the policy's yes for an agent at a resource, on behalf of the person where there is one.

    home: the resource that needs no grant, since the agent may be there by what it holds; None where there is none.
    denied: what a no of the policy is; RFC 8693 §2.2.2: invalid_request. Raises InvalidTarget, InteractionRequired.
    """
    active, decisions, pairs = policies.active(), [], []
    for item in target.wanted:
        kind = str((item.detail or {}).get("type", ""))
        found = queries.grants_covering(
            agent=agent,
            person=person,
            resource=target.resource,
            actions={item.action.name},
            types={kind},
            now=now + LEAST,
        )
        # A resource that the token is not for is within its reach only by a grant to the actor, whatever policy says.
        if not found and target.resource.identifier != home:
            raise InvalidTarget("No grant lets this client go on to this resource.")
        grant = with_room(found, item.detail, now=now)
        pairs.append((grant, item.detail))
        facts = policy.facts_under(grant.ref if grant else None, agent, person, target.resource, item, binding=binding)
        decisions.append(evaluate(facts, policy=active))
    named = _named(decisions)
    _check_denied(decisions, named, denied)
    if any(isinstance(decision, Ask) for decision in decisions):
        raise InteractionRequired(
            f"A person must decide this. Ask at {settings.ISSUER}/oauth/bc-authorize.", policies=named
        )
    return Allowed(version=decisions[0].version, policies=named, shares=shares_of(pairs))


def judge_again(agent: Agent, person: User | None, target: Target, *, binding: str, now: datetime) -> Allowed:
    """Return what the policy of now says about a call that was allowed before.

    A no counts at once. A question was answered when the token was issued: whoever was asked is not asked twice.
    """
    active = policies.active()
    decisions = [
        evaluate(policy.facts_for(agent, person, target.resource, item, binding=binding, now=now), policy=active)
        for item in target.wanted
    ]
    named = _named(decisions)
    _check_denied(decisions, named, InvalidRequest)
    return Allowed(version=decisions[0].version, policies=named, shares=())


def actions_of(target: Target) -> list[str]:
    """Return the names of what is to be done, each once."""
    return list(dict.fromkeys(item.action.name for item in target.wanted))


def _named(decisions: Sequence[Decision]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for decision in decisions for name in decision.policies))


def _check_denied(decisions: Sequence[Decision], named: tuple[str, ...], denied: type[OAuthError]) -> None:
    if any(isinstance(decision, Deny) for decision in decisions):
        raise denied("The policy does not allow this.", policies=named)
