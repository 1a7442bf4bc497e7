"""For a transaction token: what lets one call go on inside the trust domain, and nothing outside.

Spec: draft-ietf-oauth-transaction-tokens, draft-oauth-transaction-tokens-for-agents. We are the service that issues them, and
alone say what stands in both contexts: what the workload tells is copied, what we know stands on top of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication import assertion
from aims.authentication.assertion import AssertionRefused
from aims.authentication.bound import Bound
from aims.authentication.client import Client
from aims.authentication.replay import remember
from aims.authorization.chain_events import TransactionTokenIssued
from aims.authorization.errors import InvalidRequest, InvalidScope, InvalidTarget
from aims.authorization.models import AccessToken, TokenKind
from aims.authorization.services import tokens
from aims.authorization.services.exchange.judging import Allowed, judge, judge_again
from aims.authorization.services.exchange.subject import (
    NOT_USABLE,
    Asked,
    act_of,
    check_actor,
    check_in_trust_domain,
    check_loop,
    enter,
    is_for,
    person_of,
    read_subject,
    root_of,
)
from aims.authorization.services.metering import charge, note
from aims.authorization.target import Target, read_target
from aims.authorization.tokens import TokenFacts
from aims.authorization.transaction_token import (
    OURS_IN_RCTX,
    OURS_IN_TCTX,
    REPLACEMENTS_MAX,
    TYP,
    Context,
    ContextRefused,
    TxnFacts,
    claims_of,
    expiry,
    grown,
    read_context,
    workloads,
)
from aims.authorization.within import scope_within
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.identifier.models import Agent
from aims.kit.ids import new_ref, unb64url
from audit.write import record

SELF_SIGNED_TYPES = (None, "jwt")


@dataclass(frozen=True, kw_only=True)
class _Call:
    """The call that a transaction stands for. about: the resource it was made at. scope: what it may be narrowed to.

    details: those that the scope still covers. tctx, rctx: what has been said so far.
    """

    about: str
    scope: tuple[str, ...]
    details: tuple[Mapping[str, Any], ...]
    tctx: Context
    rctx: Context


def replace_or_begin(client: Client, asked: Asked, *, now: datetime) -> dict[str, Any]:
    """Return a transaction token for an access token that is for this workload, or for an earlier transaction token.

    asked.resources: the audience, which is our trust domain. Raises InvalidRequest, InvalidTarget, InvalidScope,
    ProofReplayed, DpopReplayed, Outdated.
    """
    with transaction.atomic():
        agent = enter(client)
        _check_asked(agent, asked)
        parent = read_subject(client, agent, asked, now=now)
        check_actor(agent, asked.actor_token, now=now)
        if parent.kind == TokenKind.ACCESS and not is_for(agent, parent):
            raise InvalidRequest(NOT_USABLE, detail="not in its audience")
        check_loop(agent, parent)
        _check_replacements(parent)
        call, allowed = _call_of(parent, asked, now=now)
        act = parent.act or act_of_client(parent)
        prepared = _prepare(client, agent, asked, call, act, parent=parent, ends=(parent.expires,), now=now)
        _save(prepared, agent, parent, call, act, allowed)
    return _response(prepared)


def begin_transaction(client: Client, asked: Asked, *, now: datetime) -> dict[str, Any]:
    """Return a transaction token for a workload that begins by itself, by a JWT that it signed about itself.

    asked.resources: our trust domain, and the resource that it runs and will act at; the policy is asked as for client
    credentials. Raises what ``replace_or_begin`` does, and BudgetSpent, InteractionRequired.
    """
    said = _self_signed(client, asked.subject_token, now=now)
    with transaction.atomic():
        agent = enter(client)
        if not remember(said.proof(client.ref, agent=client.identifier)):
            raise InvalidRequest("The subject token has been used before.")
        target = _own_target(agent, asked, said)
        home = target.resource.identifier
        allowed = judge(agent, None, target, home=home, binding=client.binding, now=now)
        call = _Call(about=home, scope=tuple(target.scope.split()), details=(), tctx={}, rctx={})
        act = act_of(agent, None)
        ends = [share.grant.until_at for share in allowed.shares]
        prepared = _prepare(client, agent, asked, call, act, parent=None, ends=ends, now=now)
        charge(allowed.shares, now=now)
        _save(prepared, agent, None, call, act, allowed)
        note(allowed.shares, jti=prepared.jti, now=now)
    return _response(prepared)


def act_of_client(parent: AccessToken) -> dict[str, Any]:
    """Return who acts by a token that names nobody besides its client."""
    assert parent.agent is not None
    return act_of(parent.agent, None)


def claims_in(token: str) -> dict[str, Any]:
    """Return the claims of a token whose hash is that of one we issued: so they are as we wrote them."""
    claims: dict[str, Any] = json.loads(unb64url(token.split(".")[1]))
    return claims


def _check_asked(agent: Agent, asked: Asked) -> None:
    check_in_trust_domain(agent)
    if asked.resources != (settings.TRUST_DOMAIN,):
        raise InvalidTarget("audience must be the trust domain, and only it.")
    if asked.details is not None:
        raise InvalidRequest("A transaction token says in request_details what it is about.")
    if not (asked.scope or "").split():
        raise InvalidScope("Say in scope what the transaction is for.")


def _check_replacements(parent: AccessToken) -> None:
    if sum(token.kind == TokenKind.TXN for token in parent.chain()) >= REPLACEMENTS_MAX:
        raise InvalidRequest(f"A chain has at most {REPLACEMENTS_MAX} transaction tokens.")


def _call_of(parent: AccessToken, asked: Asked, *, now: datetime) -> tuple[_Call, Allowed]:
    """Return the call that the subject token stands for, narrowed to the scope asked for, and what allows it now."""
    origin = next((token for token in parent.chain() if token.kind == TokenKind.ACCESS), parent.chain()[-1])
    (about,) = origin.resource
    details = parent.authorization_details or []
    by_detail = _actions_by_detail(about, details)
    carried = {*parent.scope.split(), *(name for names in by_detail for name in names)}
    scope = tuple(dict.fromkeys((asked.scope or "").split()))
    if not scope_within(scope, list(carried)):
        raise InvalidScope("The scope is wider than that of the subject token.")
    kept = tuple(detail for detail, names in zip(details, by_detail, strict=True) if names <= set(scope))
    words = [word for word in scope if word in origin.scope.split()]
    target = read_target(resources=(about,), scope=" ".join(words) or None, details=json.dumps(kept) if kept else None)
    assert origin.agent is not None
    bound = Bound(jkt=origin.jkt, x5t_s256=origin.x5t_s256)
    allowed = judge_again(origin.agent, person_of(parent), target, binding=bound.binding, now=now)
    earlier = claims_in(asked.subject_token) if parent.kind == TokenKind.TXN else {}
    call = _Call(about=about, scope=scope, details=kept, tctx=earlier.get("tctx", {}), rctx=earlier.get("rctx", {}))
    return call, allowed


def _actions_by_detail(about: str, details: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """Return the names of the actions that each detail asks for at a resource."""
    found = []
    for detail in details:
        target = read_target(resources=(about,), scope=None, details=json.dumps([detail]))
        found.append({item.action.name for item in target.wanted})
    return found


def _self_signed(client: Client, token: str, *, now: datetime) -> assertion.Assertion:
    """Return what a workload says of itself. Nobody may be spoken for in this way."""
    try:
        said = assertion.read(token, typ=SELF_SIGNED_TYPES, now=now)
        if not said.issuer == said.subject == client.identifier:
            raise AssertionRefused("subject", "iss and sub must both be the workload")
        if said.jti is None:
            raise AssertionRefused("jti", "jti is missing")
        assertion.check_signed(said, client.ref, now=now)
    except AssertionRefused as error:
        raise InvalidRequest(error.public, detail=error.code) from error
    return said


def _own_target(agent: Agent, asked: Asked, said: assertion.Assertion) -> Target:
    places = [place for place in asked.resources if place != settings.TRUST_DOMAIN]
    _check_asked(agent, replace(asked, resources=tuple(set(asked.resources) - set(places))))
    held = said.claims.get("scope")
    if not isinstance(held, str):  # transaction tokens: the scope of a subject token must be known
        raise InvalidRequest("The subject token says no scope.")
    target = read_target(resources=places, scope=asked.scope, details=None)
    if not scope_within(target.scope.split(), held.split()):
        raise InvalidScope("The scope is wider than that of the subject token.")
    if target.resource.operator_id != agent.pk:
        raise InvalidTarget("Name one resource that this workload runs.")
    return target


def _prepare(
    client: Client,
    agent: Agent,
    asked: Asked,
    call: _Call,
    act: Mapping[str, Any],
    *,
    parent: AccessToken | None,
    ends: Sequence[datetime],
    now: datetime,
) -> tokens.Prepared:
    try:
        tctx = grown(call.tctx, read_context(asked.request_details), ours=OURS_IN_TCTX, own=_own_tctx(call))
        listed = workloads(call.rctx, agent.identifier)
        own = {"binding": client.binding, "req_wl": listed}
        rctx = grown(call.rctx, read_context(asked.request_context), ours=OURS_IN_RCTX, own=own)
    except ContextRefused as error:
        raise InvalidRequest(str(error)) from error
    subject = parent.subject_ref if parent else agent.identifier
    facts = TxnFacts(
        subject=subject,
        is_agent=parent is None or person_of(parent) is None,
        trust_domain=settings.TRUST_DOMAIN,
        txn=parent.txn if parent else new_ref("txn"),
        scope=" ".join(call.scope),
        tctx=tctx,
        rctx=rctx,
        req_wl=agent.identifier,
        act=act,
        expires_at=expiry(now=now, ends=ends),
    )
    jti = new_ref("tok")
    token = signing.current(KeyPurpose.TXN_TOKEN).sign(claims_of(facts, issuer=settings.ISSUER, jti=jti, now=now), TYP)
    return tokens.Prepared(
        token=token, jti=jti, facts=_row_facts(facts, client, call), agent=agent, request=None, now=now
    )


def _own_tctx(call: _Call) -> Context:
    """Return what we know of the transaction. It is narrowed with the scope, and never says more than before."""
    details = [dict(detail) for detail in call.details]
    return {"resource": call.about} | ({"authorization_details": details} if details else {})


def _row_facts(facts: TxnFacts, client: Client, call: _Call) -> TokenFacts:
    return TokenFacts(
        client_id=client.identifier,
        subject=facts.subject,
        audience=facts.trust_domain,
        scope=facts.scope,
        authorization_details=call.details,
        txn=facts.txn,
        expires_at=facts.expires_at,
        approval=None,
        subject_signed=None,
    )


def _save(
    prepared: tokens.Prepared,
    agent: Agent,
    parent: AccessToken | None,
    call: _Call,
    act: Mapping[str, Any],
    allowed: Allowed,
) -> None:
    facts = prepared.facts
    AccessToken(
        kind=TokenKind.TXN,
        agent=agent,
        parent=parent,
        root_ref=root_of(parent) if parent else "",
        depth=parent.depth if parent else 0,
        act=act,
        may_act=parent.may_act if parent else None,
        **prepared.values() | {"resource": [call.about]},
    ).save(force_insert=True)
    _, mandatory = tokens.entry_of(
        prepared, actions=call.scope, policy_version=allowed.version, policies=allowed.policies
    )
    event = TransactionTokenIssued(
        jti=prepared.jti,
        parent=str(parent.jti) if parent else None,
        root=root_of(parent) if parent else prepared.jti,
        is_replacement=parent is not None and parent.kind == TokenKind.TXN,
        workloads=list(claims_in(prepared.token)["rctx"]["req_wl"]),
        expires_at=int(facts.expires_at.timestamp()),
        policy_version=allowed.version,
        policies=list(allowed.policies),
    )
    record(event, by=facts.client_id, facts=mandatory)


def _response(prepared: tokens.Prepared) -> dict[str, Any]:
    """A transaction token is no access token: N_A, and never a refresh token beside it."""
    return {
        "access_token": prepared.token,
        "token_type": "N_A",
        "expires_in": int((prepared.facts.expires_at - prepared.now).total_seconds()),
        "scope": prepared.facts.scope,
    }
