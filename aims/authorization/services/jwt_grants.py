"""Tokens for a signed word about a subject: the agent's about itself, or another domain's server's about ours.

Spec: RFC 7523 §2.1, §3; draft-ietf-oauth-identity-chaining (step 2); draft-ietf-oauth-identity-assertion-authz-grant.
Nobody's word is authority here: it says who the subject is. What the client may do for them is a matter of our grants and
our policy, and is never wider than what the word carries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication import assertion
from aims.authentication.assertion import Assertion, AssertionRefused
from aims.authentication.client import Client
from aims.authentication.replay import remember
from aims.authorization.chain_events import ForeignGrantAccepted
from aims.authorization.errors import (
    AccessDenied,
    InvalidAuthorizationDetails,
    InvalidGrant,
    InvalidScope,
    InvalidTarget,
)
from aims.authorization.jwt_grants import GRANT_TYP, JAG_TYP, Carried, GrantMalformed, carried
from aims.authorization.models import AccessToken, ForeignServer
from aims.authorization.services import tokens
from aims.authorization.services.exchange.judging import Allowed, actions_of, judge
from aims.authorization.services.exchange.subject import enter
from aims.authorization.services.metering import charge, note
from aims.authorization.target import Target, read_target
from aims.authorization.tokens import TokenFacts, confirmation, expiry
from aims.authorization.trust_models import Profile
from aims.authorization.within import details_within, scope_within
from aims.identifier.models import Agent
from aims.kit.ids import new_ref
from aims.people.models import User
from audit.write import NOBODY, record

TYPES = (None, "jwt", GRANT_TYP, JAG_TYP)
_UNKNOWN = "The assertion is from nobody who may say this here."


@dataclass(frozen=True, kw_only=True)
class Presented:
    """What a request says. scope, details: None where it says nothing."""

    assertion: str
    resources: tuple[str, ...]
    scope: str | None
    details: str | None


def grant(client: Client, presented: Presented, *, now: datetime) -> dict[str, Any]:
    """Return a token response, without a refresh token.

    Raises InvalidGrant, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, AccessDenied, InteractionRequired,
    BudgetSpent, ProofReplayed, DpopReplayed, Outdated.
    """
    try:
        said = assertion.read(presented.assertion, typ=TYPES, now=now)
        if said.typ != JAG_TYP and said.issuer == client.identifier:
            return _for_itself(client, said, presented, now=now)
        return _for_another(client, said, presented, now=now)
    except AssertionRefused as error:
        raise InvalidGrant(error.public, detail=error.code) from error


def _for_itself(client: Client, said: Assertion, presented: Presented, *, now: datetime) -> dict[str, Any]:
    """draft-klrc-aiagent-auth §10.4: the agent is the subject, and signed it with its own key."""
    if said.subject != client.identifier:
        raise AssertionRefused("subject", "an agent speaks of itself only")
    if said.jti is None:
        raise AssertionRefused("jti", "jti is missing")
    assertion.check_signed(said, client.ref, now=now)
    with transaction.atomic():
        agent = enter(client)
        if not remember(said.proof(client.ref, agent=client.identifier)):
            raise InvalidGrant("The assertion has been used before.")
        target = read_target(resources=presented.resources, scope=presented.scope, details=presented.details)
        return _issue(client, agent, None, target, server=None, profile=None, now=now)


def _for_another(client: Client, said: Assertion, presented: Presented, *, now: datetime) -> dict[str, Any]:
    profile = Profile.ID_JAG if said.typ == JAG_TYP else Profile.CHAINING
    server = _server(said.issuer, profile)
    assertion.check_signed(said, server.ref, now=now)
    if said.jti is None:
        raise AssertionRefused("jti", "jti is missing")
    try:
        held = carried(said.claims)
    except GrantMalformed as error:
        raise AssertionRefused("claims", str(error)) from error
    with transaction.atomic():
        agent = enter(client)
        # From here on what this server may say does not change until we have written.
        server = ForeignServer.objects.select_for_update(no_key=True).get(pk=server.pk)
        if server.retired_at is not None or profile not in server.accepts:
            raise InvalidGrant(_UNKNOWN, detail="issuer")
        # An ID-JAG may be presented again until it expires; a chaining grant is used once.
        if profile == Profile.CHAINING and not remember(said.proof(server.ref, agent=client.identifier)):
            raise InvalidGrant("The assertion has been used before.")
        _check_client(server, agent, held, profile)
        person = _person(server, agent, said, held, profile)
        if held.jkt and held.jkt != client.jkt:
            raise InvalidGrant("The assertion is bound to a key that this request does not prove.", detail="cnf")
        target = _target(server, held, presented)
        return _issue(client, agent, person, target, server=server, profile=profile, now=now)


def _server(issuer: str, profile: Profile) -> ForeignServer:
    """Return the server that says it. Our own word is never taken: an ID-JAG is for one hop, and not for us."""
    server = ForeignServer.objects.filter(issuer=issuer, retired_at=None).first()
    if issuer == settings.ISSUER or server is None or profile not in server.accepts:
        raise InvalidGrant(_UNKNOWN, detail="issuer")
    return server


def _check_client(server: ForeignServer, agent: Agent, held: Carried, profile: Profile) -> None:
    """The grant is for this client: by our name for it, or by the one that the other server has."""
    names = {agent.identifier, *server.clients.filter(agent=agent).values_list("client_id", flat=True)}
    is_named = held.client_id in names
    # A chaining grant may name none; then the map must know the client.
    is_mapped = profile == Profile.CHAINING and held.client_id is None and len(names) > 1
    if not (is_named or is_mapped):
        raise InvalidGrant("The assertion is for another client.", detail="client_id")


def _person(server: ForeignServer, agent: Agent, said: Assertion, held: Carried, profile: Profile) -> User | None:
    """Return whom it speaks of, None for the agent itself. draft-ietf-oauth-identity-chaining: unknown is refused."""
    if server.clients.filter(agent=agent, client_id=said.subject).exists():
        return None
    row = server.subjects.select_related("person").filter(subject=said.subject, is_ours=False).first()
    person = row.person if row else None
    if row is None and profile == Profile.ID_JAG and server.matches_email and held.email:
        person = User.objects.filter(email__iexact=held.email).first()
    if person is None or not person.is_active:
        raise InvalidGrant("The subject is not known here.", detail="subject")
    return person


def _target(server: ForeignServer, held: Carried, presented: Presented) -> Target:
    """Return what is asked for within what the grant carries; what is left out is as it says, cut to the trust."""
    resources = presented.resources or held.resources or ()
    if held.resources is not None and not set(resources) <= set(held.resources):
        raise InvalidTarget("The assertion is not for this resource.")
    asked = None if presented.scope is None else presented.scope.split()
    if asked is not None and not scope_within(asked, list(server.scopes if held.scope is None else held.scope)):
        raise InvalidScope("The scope is wider than that of the assertion.")
    words = [word for word in (asked if asked is not None else held.scope or ()) if word in server.scopes]
    if asked is not None and len(words) != len(asked):
        raise InvalidScope("This server's word does not carry so much here.")
    details = presented.details
    if details is None and held.details and presented.scope is None:
        details = json.dumps(held.details)
    target = read_target(resources=resources, scope=" ".join(words) or None, details=details)
    if not details_within(target.details, held.details or ()):
        raise InvalidAuthorizationDetails("authorization_details is wider than that of the assertion.")
    return target


def _issue(
    client: Client,
    agent: Agent,
    person: User | None,
    target: Target,
    *,
    server: ForeignServer | None,
    profile: Profile | None,
    now: datetime,
) -> dict[str, Any]:
    """Judge, and write the token, in the caller's transaction."""
    # The agent for itself is judged as with client credentials; on another's word it needs a grant besides.
    home = target.resource.identifier if server is None else None
    allowed = judge(agent, person, target, home=home, binding=client.binding, denied=AccessDenied, now=now)
    ends = [share.grant.until_at for share in allowed.shares]
    facts = TokenFacts(
        client_id=client.identifier,
        subject=person.ref if person else client.identifier,
        audience=target.resource.identifier,
        scope=target.scope,
        authorization_details=target.details,
        txn=new_ref("txn"),
        expires_at=expiry(now=now, ends=ends),
        approval=None,
        subject_signed=None,
        cnf=confirmation(client.jkt, client.x5t_s256),
    )
    prepared = tokens.prepare(facts, agent=agent, request=None, now=now)
    charge(allowed.shares, now=now)
    AccessToken(agent=agent, foreign=server, **prepared.values()).save(force_insert=True)
    note(allowed.shares, jti=prepared.jti, now=now)
    _record(prepared, actions_of(target), allowed, server, profile)
    return prepared.response()


def _record(
    prepared: tokens.Prepared,
    actions: Sequence[str],
    allowed: Allowed,
    server: ForeignServer | None,
    profile: Profile | None,
) -> None:
    event, facts = tokens.entry_of(prepared, actions=actions, policy_version=allowed.version, policies=allowed.policies)
    record(event, by=prepared.facts.client_id, facts=facts)
    if server is not None and profile is not None:
        taken = ForeignGrantAccepted(jti=prepared.jti, server=server.ref, profile=str(profile.value))
        record(taken, by=prepared.facts.client_id, facts=replace(NOBODY, agent=facts.agent, subject=facts.subject))
