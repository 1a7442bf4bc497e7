"""Exchanging a token for one further down the chain: never wider, never longer, always with who acts.

Spec: RFC 8693. Everything is judged and written in one transaction that holds the tree's root: a parent that is ended
meanwhile waits for us, and takes our token along, or we wait and find it ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import spend
from aims.authorization import queries
from aims.authorization.errors import (
    InteractionRequired,
    InvalidAuthorizationDetails,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    Outdated,
)
from aims.authorization.events import TokenExchanged
from aims.authorization.models import AccessToken
from aims.authorization.services import policy, tokens, trees
from aims.authorization.services.metering import Share, charge, note, shares_of, with_room
from aims.authorization.services.order import begin
from aims.authorization.target import Target, read_target
from aims.authorization.tokens import LEAST, TokenFacts, confirmation, expiry
from aims.authorization.within import details_within, scope_within
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.ids import digest
from aims.people.models import User
from aims.policy import queries as policies
from aims.policy.engine import Ask, Deny, evaluate
from audit.write import record

DEPTH_MAX = 4  # exchanges after the first token
AI_AGENT = "ai_agent"  # draft-mora-oauth-entity-profiles
_NOT_USABLE = "The subject token is not usable by this client."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request says. resources: of ``resource`` and ``audience``. scope, details: None where it says nothing."""

    subject_token: str
    actor_token: str | None
    resources: tuple[str, ...]
    scope: str | None
    details: str | None


@dataclass(frozen=True, kw_only=True)
class _Allowed:
    version: int
    policies: tuple[str, ...]
    shares: tuple[Share, ...]


def exchange(client: Client, asked: Asked, *, now: datetime) -> dict[str, Any]:
    """Return a token response without ``issued_token_type``.

    Raises InvalidRequest, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, InteractionRequired, BudgetSpent,
    ProofReplayed, DpopReplayed, Outdated.
    """
    agent = client.agent
    assert agent is not None
    with transaction.atomic():
        begin(agent)
        if not Agent.objects.filter(pk=agent.pk, version=agent.version, state=AgentState.ACTIVE).exists():
            raise Outdated
        spend(*client.proofs)
        parent = _subject(client, agent, asked, now=now)
        _check_actor(agent, asked.actor_token, now=now)
        _check_chain(agent, parent)
        target = _target(asked, parent)
        _check_within(target, parent)
        allowed = _consult(client, agent, parent, target, now=now)
        prepared = tokens.prepare(
            _facts(client, agent, parent, target, allowed, now=now), agent=agent, request=None, now=now
        )
        charge(allowed.shares, now=now)
        _save(prepared, agent, parent, target, allowed)
        note(allowed.shares, jti=prepared.jti, now=now)
    return prepared.response()


def _subject(client: Client, agent: Agent, asked: Asked, *, now: datetime) -> AccessToken:
    """Return the subject token's row, its tree locked. The same answer whatever is wrong with it: RFC 8693 §2.2.2."""
    # By its hash, so only what we issued as an access token is found; registration tokens have neither agent nor jti.
    rows = AccessToken.objects.filter(
        token_checksum=digest(asked.subject_token), agent__isnull=False, jti__isnull=False
    )
    trees.lock(rows)
    row = rows.select_related("agent").first()
    if row is None or not all(token.is_sound for token in row.chain()) or row.expires <= now + LEAST:
        raise InvalidRequest(_NOT_USABLE, detail="not live")
    is_own = row.agent_id == agent.pk
    is_for_it = Resource.objects.filter(identifier=row.audience, operator=agent, retired_at=None).exists()
    if not (is_own or is_for_it or row.audience == client.identifier):
        raise InvalidRequest(_NOT_USABLE, detail="not in its audience")
    # A bound token that is the client's own: with its key. Who it is for can't have that key, and is in its audience.
    if not is_for_it and not client.bound.holds(jkt=row.jkt, x5t_s256=row.x5t_s256):
        raise InvalidRequest(_NOT_USABLE, detail="another key")
    if row.may_act and not _may(row.may_act, client.identifier):
        raise InvalidRequest(_NOT_USABLE, detail="may_act")
    return row


def _may(may_act: Mapping[str, Any], identifier: str) -> bool:
    """Return whether this is who a token names. A member that we can't judge names nobody. Spec: RFC 8693 §4.4."""
    named = {name: value for name, value in may_act.items() if name != "sub_profile"}
    return bool(named) and named.keys() <= {"sub", "client_id"} and set(named.values()) == {identifier}


def _check_actor(agent: Agent, actor_token: str | None, *, now: datetime) -> None:
    """The client is the actor; a token that it sends as such must say the same."""
    if actor_token is None:
        return
    row = AccessToken.objects.filter(token_checksum=digest(actor_token), agent=agent, expires__gt=now).first()
    if row is None or row.subject_ref != agent.identifier or not all(token.is_sound for token in row.chain()):
        raise InvalidRequest("The actor token is not one of this client for itself.")


def _check_chain(agent: Agent, parent: AccessToken) -> None:
    if parent.depth >= DEPTH_MAX:
        raise InvalidRequest(f"A chain has at most {DEPTH_MAX} exchanges.")
    before = [token.agent_id for token in parent.chain()]
    # Its own token may be narrowed; one that went through other hands must not come back.
    if agent.pk in before and before[0] != agent.pk:
        raise InvalidRequest("This agent is in the chain already.")


def _target(asked: Asked, parent: AccessToken) -> Target:
    """Return what is asked for; what is left out is as in the subject token, cut to what the resource knows."""
    resources = asked.resources or (parent.audience,)
    if asked.scope is not None or asked.details is not None:
        return read_target(resources=resources, scope=asked.scope, details=asked.details)
    if len(set(resources)) != 1:
        raise InvalidTarget
    known = Resource.objects.prefetch_related("actions").filter(identifier=resources[0], retired_at=None).first()
    if known is None:
        raise InvalidTarget
    actions = list(known.actions.all())
    scope = [word for word in parent.scope.split() if word in {action.name for action in actions}]
    kinds = {action.detail_type for action in actions if action.detail_type}
    details = [
        detail
        for detail in parent.authorization_details or ()
        if detail["type"] in kinds and detail.get("locations", [known.identifier]) == [known.identifier]
    ]
    return read_target(
        resources=resources, scope=" ".join(scope) or None, details=json.dumps(details) if details else None
    )


def _check_within(target: Target, parent: AccessToken) -> None:
    if not scope_within(target.scope.split(), parent.scope.split()):
        raise InvalidScope("The scope is wider than that of the subject token.")
    if not details_within(target.details, parent.authorization_details or ()):
        raise InvalidAuthorizationDetails("authorization_details is wider than that of the subject token.")


def _consult(client: Client, agent: Agent, parent: AccessToken, target: Target, *, now: datetime) -> _Allowed:
    """Return the policy's yes for the actor at the new resource, on behalf of the person where there is one."""
    person = User.objects.filter(ref=parent.subject_ref, is_active=True).first()
    if person is None and not Agent.objects.filter(identifier=parent.subject_ref, state=AgentState.ACTIVE).exists():
        raise InvalidRequest(_NOT_USABLE, detail="subject")
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
        if not found and target.resource.identifier != parent.audience:
            raise InvalidTarget("No grant lets this client go on to this resource.")
        grant = with_room(found, item.detail, now=now)
        pairs.append((grant, item.detail))
        ref = grant.ref if grant else None
        facts = policy.facts_under(ref, agent, person, target.resource, item, binding=client.binding)
        decisions.append(evaluate(facts, policy=active))
    named = tuple(dict.fromkeys(name for decision in decisions for name in decision.policies))
    if any(isinstance(decision, Deny) for decision in decisions):
        # RFC 8693 §2.2.2: unacceptable by policy is invalid_request.
        raise InvalidRequest("The policy does not allow this exchange.", policies=named)
    if any(isinstance(decision, Ask) for decision in decisions):
        raise InteractionRequired(
            f"A person must decide this. Ask at {settings.ISSUER}/oauth/bc-authorize.", policies=named
        )
    return _Allowed(version=decisions[0].version, policies=named, shares=shares_of(pairs))


def _facts(
    client: Client, agent: Agent, parent: AccessToken, target: Target, allowed: _Allowed, *, now: datetime
) -> TokenFacts:
    return TokenFacts(
        client_id=client.identifier,
        subject=parent.subject_ref,
        audience=target.resource.identifier,
        scope=target.scope,
        authorization_details=target.details,
        txn=parent.txn,
        expires_at=expiry(now=now, ends=[parent.expires, *(share.grant.until_at for share in allowed.shares)]),
        approval=None,  # one yes is used once: two tokens with it could each be
        subject_signed=None,
        cnf=confirmation(client.jkt, client.x5t_s256),
        act=_act(agent, parent.act),
        may_act=parent.may_act,  # left out, anybody could go on where only one might
    )


def _act(agent: Agent, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return who acts, with who did before inside; who narrows its own token acts already. Spec: RFC 8693 §4.1."""
    if before and before.get("sub") == agent.identifier:
        return dict(before)
    act: dict[str, Any] = {"sub": agent.identifier, "sub_profile": AI_AGENT}
    return act | {"act": dict(before)} if before else act


def _save(prepared: tokens.Prepared, agent: Agent, parent: AccessToken, target: Target, allowed: _Allowed) -> None:
    facts, root_ref = prepared.facts, parent.root_ref or str(parent.jti)
    AccessToken(
        agent=agent,
        parent=parent,
        root_ref=root_ref,
        depth=parent.depth + 1,
        act=facts.act,
        may_act=facts.may_act,
        **prepared.values(),
    ).save(force_insert=True)
    _, mandatory = tokens.entry_of(
        prepared, actions=_actions(target), policy_version=allowed.version, policies=allowed.policies
    )
    event = TokenExchanged(
        jti=prepared.jti,
        parent=str(parent.jti),
        root=root_ref,
        depth=parent.depth + 1,
        chain=[*(token.agent.identifier for token in reversed(parent.chain()) if token.agent), agent.identifier],
        expires_at=int(facts.expires_at.timestamp()),
        policy_version=allowed.version,
        policies=list(allowed.policies),
        detail_types=sorted({str(detail["type"]) for detail in facts.authorization_details}),
    )
    record(event, by=facts.client_id, facts=mandatory)


def _actions(target: Target) -> Sequence[str]:
    return list(dict.fromkeys(item.action.name for item in target.wanted))
