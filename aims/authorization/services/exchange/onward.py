"""For an access token further down the chain: always with who acts, never with the approval of the one before."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authentication.client import Client
from aims.authorization.errors import InvalidAuthorizationDetails, InvalidScope, InvalidTarget
from aims.authorization.events import TokenExchanged
from aims.authorization.models import AccessToken, TokenKind
from aims.authorization.services import tokens
from aims.authorization.services.exchange.judging import Allowed, actions_of, judge
from aims.authorization.services.exchange.subject import (
    Asked,
    act_of,
    check_actor,
    check_depth,
    check_loop,
    enter,
    holders,
    person_of,
    read_subject,
    root_of,
)
from aims.authorization.services.metering import charge, note
from aims.authorization.target import Target, read_target
from aims.authorization.tokens import TokenFacts, confirmation, expiry
from aims.authorization.within import details_within, scope_within
from aims.identifier.models import Agent, Resource
from audit.write import record


def exchange(client: Client, asked: Asked, *, now: datetime) -> dict[str, Any]:
    """Return a token response without ``issued_token_type``.

    Raises InvalidRequest, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, InteractionRequired, BudgetSpent,
    ProofReplayed, DpopReplayed, Outdated.
    """
    with transaction.atomic():
        agent = enter(client)
        parent = read_subject(client, agent, asked, now=now)
        check_actor(agent, asked.actor_token, now=now)
        check_depth(parent)
        check_loop(agent, parent)
        target = target_of(asked, parent)
        check_within(target, parent)
        # A transaction token is for no resource: whoever goes on from there needs a grant, wherever they go.
        home = parent.audience if parent.kind == TokenKind.ACCESS else None
        allowed = judge(agent, person_of(parent), target, home=home, binding=client.binding, now=now)
        facts = _facts(client, agent, parent, target, allowed, now=now)
        prepared = tokens.prepare(facts, agent=agent, request=None, now=now)
        charge(allowed.shares, now=now)
        _save(prepared, agent, parent, target, allowed)
        note(allowed.shares, jti=prepared.jti, now=now)
    return prepared.response()


def target_of(asked: Asked, parent: AccessToken) -> Target:
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


def check_within(target: Target, parent: AccessToken) -> None:
    """Raise InvalidScope or InvalidAuthorizationDetails for more than the subject token carries."""
    if not scope_within(target.scope.split(), parent.scope.split()):
        raise InvalidScope("The scope is wider than that of the subject token.")
    if not details_within(target.details, parent.authorization_details or ()):
        raise InvalidAuthorizationDetails("authorization_details is wider than that of the subject token.")


def _facts(
    client: Client, agent: Agent, parent: AccessToken, target: Target, allowed: Allowed, *, now: datetime
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
        act=act_of(agent, parent.act),
        may_act=parent.may_act,  # left out, anybody could go on where only one might
    )


def _save(prepared: tokens.Prepared, agent: Agent, parent: AccessToken, target: Target, allowed: Allowed) -> None:
    facts, root_ref = prepared.facts, root_of(parent)
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
        prepared, actions=actions_of(target), policy_version=allowed.version, policies=allowed.policies
    )
    event = TokenExchanged(
        jti=prepared.jti,
        parent=str(parent.jti),
        root=root_ref,
        depth=parent.depth + 1,
        chain=holders(parent, agent),
        expires_at=int(facts.expires_at.timestamp()),
        policy_version=allowed.version,
        policies=list(allowed.policies),
        detail_types=sorted({str(detail["type"]) for detail in facts.authorization_details}),
    )
    record(event, by=facts.client_id, facts=mandatory)
