"""An access token for what a person agreed to, or for a part of it: at the redemption of a code, and at each refresh.

The agreement is looked at anew each time: the person, their grant, its budget, and the policy. The caller holds the
agent's row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from aims.authentication.client import Client
from aims.authorization import queries
from aims.authorization.errors import (
    AccessDenied,
    InteractionRequired,
    InvalidAuthorizationDetails,
    InvalidGrant,
    InvalidScope,
    InvalidTarget,
)
from aims.authorization.identity import OPENID, identity_scope, resource_scope
from aims.authorization.models import AuthorizationCode, DelegationGrant
from aims.authorization.services import policy, tokens
from aims.authorization.services.metering import charge, note, shares_of
from aims.authorization.target import Target, read_target
from aims.authorization.tokens import LEAST, TokenFacts, confirmation, expiry
from aims.authorization.wanted import WantedRefused, read_details
from aims.authorization.within import details_within, scope_within
from aims.identifier.models import Agent, AgentState
from aims.policy import queries as policies
from aims.policy.engine import Ask, Deny, evaluate

USERINFO_PATH = "/oauth/userinfo"
NO_POLICY = 0  # version of the policy in an entry where none was asked


@dataclass(frozen=True, kw_only=True)
class Narrower:
    """What of an agreement a request wants. scope, details: None for all of it."""

    resources: tuple[str, ...]
    scope: str | None
    details: str | None


@dataclass(frozen=True, kw_only=True)
class _Allowed:
    version: int
    policies: tuple[str, ...]


def access_token(code: AuthorizationCode, client: Client, wish: Narrower, *, now: datetime) -> tokens.Prepared:
    """Return a stored access token. Everything it rests on was asked again.

    Raises InvalidGrant, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, AccessDenied, InteractionRequired,
    BudgetSpent.
    """
    agent = check_standing(code, now=now)
    if audience_of(code, wish) == userinfo_audience():
        return _for_userinfo(code, client, agent, wish, now=now)
    target, grant = _target(code, wish), code.grant
    assert grant is not None, "what stands on an approval alone is redeemed with it"
    _check_covered(grant, target, now=now)
    allowed = _consult(code, client, agent, grant, target)
    shares = shares_of((grant, item.detail) for item in target.wanted)
    facts = _facts(code, client, target, until=grant.until_at, now=now)
    prepared = tokens.prepare(facts, agent=agent, request=None, code=code, now=now)
    charge(shares, now=now)
    actions = list(dict.fromkeys(item.action.name for item in target.wanted))
    tokens.save(prepared, actions=actions, policy_version=allowed.version, policies=allowed.policies)
    note(shares, jti=prepared.jti, now=now)
    return prepared


def check_standing(code: AuthorizationCode, *, now: datetime) -> Agent:
    """Return the agent of an agreement that still stands. Raises InvalidGrant."""
    assert code.agent_id is not None
    agent = Agent.objects.select_related("owner").filter(pk=code.agent_id, state=AgentState.ACTIVE).first()
    if agent is None or not code.user.is_active or code.ended_at is not None:
        raise InvalidGrant("The person or the client may not act any more.", detail="standing")
    if code.grant_id is not None:
        code.grant = DelegationGrant.objects.get(pk=code.grant_id)
        if queries.state_of(code.grant, now=now + LEAST) != "in_force":
            raise InvalidGrant("The permission that this stood on has ended.", detail="grant")
    return agent


def userinfo_audience() -> str:
    """Return the audience of tokens that open userinfo: a token for a resource opens that resource alone."""
    return settings.ISSUER + USERINFO_PATH


def audience_of(code: AuthorizationCode, wish: Narrower) -> str:
    """Return the one audience. Raises InvalidTarget. Spec: RFC 8707 §2.2: a token request may only narrow."""
    possible = list(code.resource)
    if OPENID in code.scope.split():
        possible.append(userinfo_audience())
    wanted = set(wish.resources) or set(possible[:1])
    if len(wanted) != 1 or not wanted <= set(possible):
        raise InvalidTarget("The resource was not agreed to.")
    return wanted.pop()


def _for_userinfo(
    code: AuthorizationCode, client: Client, agent: Agent, wish: Narrower, *, now: datetime
) -> tokens.Prepared:
    if wish.details is not None:
        raise InvalidAuthorizationDetails("userinfo takes no details.")
    facts = TokenFacts(
        client_id=client.identifier,
        subject=code.user.ref,
        audience=userinfo_audience(),
        scope=" ".join(identity_scope(_scope(code, wish))),
        authorization_details=(),
        txn=code.txn,
        expires_at=expiry(now=now, ends=[code.grant.until_at] if code.grant else []),
        approval=None,
        subject_signed=code.signed_in,
        cnf=confirmation(client.jkt, client.x5t_s256),
    )
    prepared = tokens.prepare(facts, agent=agent, request=None, code=code, now=now)
    tokens.save(prepared, actions=[], policy_version=NO_POLICY, policies=())
    return prepared


def _scope(code: AuthorizationCode, wish: Narrower) -> str:
    """Return the words asked for, all of them where none are. Spec: RFC 6749 §6: never one that was not agreed to."""
    if wish.scope is None:
        return str(code.scope)
    if not scope_within(wish.scope.split(), code.scope.split()):
        raise InvalidScope("The scope is wider than what was agreed to.")
    return wish.scope


def _target(code: AuthorizationCode, wish: Narrower) -> Target:
    details = code.authorization_details or []
    if wish.details is not None:
        try:
            asked = read_details(wish.details)
        except WantedRefused as error:
            raise InvalidAuthorizationDetails(error.public) from error
        if not details_within(asked, details):
            raise InvalidAuthorizationDetails("authorization_details is wider than what was agreed to.")
        details = list(asked)
    words = resource_scope(_scope(code, wish))
    return read_target(
        resources=tuple(code.resource),
        scope=" ".join(words) or None,
        details=json.dumps(details) if details else None,
    )


def _check_covered(grant: DelegationGrant, target: Target, *, now: datetime) -> None:
    for item in target.wanted:
        kind = str((item.detail or {}).get("type", ""))
        if not queries.covering([grant], actions=(item.action.name,), types=(kind,), now=now + LEAST):
            raise InvalidGrant("The permission was narrowed and does not cover this any more.", detail="grant")


def _consult(code: AuthorizationCode, client: Client, agent: Agent, grant: DelegationGrant, target: Target) -> _Allowed:
    active = policies.active()
    decisions = [
        evaluate(
            policy.facts_under(grant.ref, agent, code.user, target.resource, item, binding=client.binding),
            policy=active,
        )
        for item in target.wanted
    ]
    named = tuple(dict.fromkeys(name for decision in decisions for name in decision.policies))
    if any(isinstance(decision, Deny) for decision in decisions):
        raise AccessDenied(policies=named)
    if any(isinstance(decision, Ask) for decision in decisions):
        raise InteractionRequired("A person must decide this. Send them to agree again.", policies=named)
    return _Allowed(version=decisions[0].version, policies=named)


def _facts(code: AuthorizationCode, client: Client, target: Target, *, until: datetime, now: datetime) -> TokenFacts:
    return TokenFacts(
        client_id=client.identifier,
        subject=code.user.ref,
        audience=target.resource.identifier,
        scope=target.scope,
        authorization_details=target.details,
        txn=code.txn,
        expires_at=expiry(now=now, ends=[until]),
        approval=None,
        subject_signed=code.signed_in,
        cnf=confirmation(client.jkt, client.x5t_s256),
    )
