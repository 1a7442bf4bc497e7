"""For a word to another domain's authorization server: whom our client acts for, by the name that they have there.

Spec: draft-ietf-oauth-identity-chaining (step 1), draft-ietf-oauth-identity-assertion-authz-grant. The other server is a
resource in our registry: its actions are what may be carried there, and a grant says who may go. It learns what it needs to
decide and nothing of how the call came here (draft-klrc-aiagent-auth §10.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authorization.chain_events import GrantForElsewhereIssued
from aims.authorization.errors import InvalidGrant, InvalidRequest, InvalidTarget
from aims.authorization.jwt_grants import (
    GRANT_LIFETIME_S,
    GRANT_TYP,
    JAG_LIFETIME_S,
    JAG_TYP,
    GrantFacts,
    claims_of,
    expiry,
)
from aims.authorization.models import AccessToken, ForeignServer, ForeignSubject, PairwiseSubject, TokenKind
from aims.authorization.services import tokens
from aims.authorization.services.exchange.judging import Allowed, actions_of, judge
from aims.authorization.services.exchange.onward import check_within, target_of
from aims.authorization.services.exchange.subject import (
    NOT_USABLE,
    Asked,
    act_of,
    check_actor,
    check_depth,
    check_loop,
    enter,
    person_of,
    read_subject,
    root_of,
)
from aims.authorization.services.metering import charge, note
from aims.authorization.target import Target, read_target
from aims.authorization.tokens import LEAST, TokenFacts, confirmation
from aims.authorization.trust_models import Profile
from aims.credentials import queries as keys
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.identifier.models import Agent
from aims.kit.ids import new_ref, new_secret
from aims.kit.jose import JoseRefused, parse, verify
from aims.people.models import User
from audit.write import record

ID_TOKEN_ALGORITHMS = frozenset({"ES256"})
_SIGNED_IN = ("acr", "amr", "auth_time")


def to_jwt_grant(client: Client, asked: Asked, *, now: datetime) -> dict[str, Any]:
    """Return a JWT authorization grant for the server that ``resource`` or ``audience`` names.

    Raises InvalidRequest, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, InteractionRequired, BudgetSpent,
    ProofReplayed, DpopReplayed, Outdated.
    """
    with transaction.atomic():
        agent = enter(client)
        server = _server(asked.resources, Profile.CHAINING)
        parent = read_subject(client, agent, asked, now=now)
        check_actor(agent, asked.actor_token, now=now)
        check_depth(parent)
        check_loop(agent, parent)
        target = target_of(asked, parent)
        check_within(target, parent)
        person = person_of(parent)
        allowed = judge(agent, person, target, home=None, binding=client.binding, now=now)
        ends = [parent.expires, *(share.grant.until_at for share in allowed.shares)]
        expires_at = expiry(now=now, lifetime_s=GRANT_LIFETIME_S, ends=ends)
        facts = _facts(client, agent, person, server, target, expires_at)
        prepared = _prepare(client, agent, parent.subject_ref, parent.txn, facts, TokenKind.JWT_GRANT, now=now)
        _save(prepared, agent, parent, TokenKind.JWT_GRANT, server, target, allowed)
    return _response(prepared)


def to_id_jag(client: Client, asked: Asked, *, now: datetime) -> dict[str, Any]:
    """Return an identity assertion for the server that ``audience`` names, on an ID token that is the client's.

    asked.further: resources at that server. Raises what ``to_jwt_grant`` does, and InvalidGrant for an ID token of
    another client.
    """
    identity = _id_token(client, asked.subject_token, now=now)
    if asked.actor_token is not None:
        raise InvalidRequest("An actor token has no meaning here.")
    with transaction.atomic():
        agent = enter(client)
        server = _server(asked.resources, Profile.ID_JAG)
        person = _person(agent, str(identity["sub"]))
        target = read_target(resources=asked.resources, scope=asked.scope, details=asked.details)
        allowed = judge(agent, person, target, home=None, binding=client.binding, now=now)
        ends = [share.grant.until_at for share in allowed.shares]
        expires_at = expiry(now=now, lifetime_s=JAG_LIFETIME_S, ends=ends)
        facts = replace(
            _facts(client, agent, person, server, target, expires_at),
            resources=asked.further,
            signed_in={name: identity[name] for name in _SIGNED_IN if name in identity},
            email=person.email if server.tells_email else "",
        )
        txn = str(identity.get("txn") or new_ref("txn"))
        prepared = _prepare(client, agent, person.ref, txn, facts, TokenKind.ID_JAG, now=now)
        _save(prepared, agent, None, TokenKind.ID_JAG, server, target, allowed)
    return _response(prepared)


def _server(resources: tuple[str, ...], profile: Profile) -> ForeignServer:
    """Return the one server meant, locked: what it may hear does not change until we have written."""
    servers = ForeignServer.objects.select_for_update(no_key=True)
    server = servers.filter(issuer__in=resources, retired_at=None).first() if len(resources) == 1 else None
    if server is None or profile not in server.receives:
        raise InvalidTarget("Name one authorization server that we speak to in this way.")
    return server


def _id_token(client: Client, token: str, *, now: datetime) -> Mapping[str, Any]:
    """Return the claims of an ID token of ours for this client, still good."""
    try:
        unverified = parse(token, algorithms=ID_TOKEN_ALGORITHMS, typ=("jwt",))
        key = keys.own_key(str(unverified.header.get("kid")), KeyPurpose.ID_TOKEN)
        if key is None:
            raise InvalidRequest(NOT_USABLE, detail="key")
        claims = verify(unverified, key=key.key()).claims
    except JoseRefused as error:
        raise InvalidRequest(NOT_USABLE, detail=error.code) from error
    if claims.get("aud") not in (client.identifier, [client.identifier]):
        raise InvalidGrant("The ID token is another client's.", detail="audience")  # ID-JAG: invalid_grant here
    if claims.get("iss") != settings.ISSUER or int(claims.get("exp", 0)) <= (now + LEAST).timestamp():
        raise InvalidRequest(NOT_USABLE, detail="expired")
    return claims


def _person(agent: Agent, sub: str) -> User:
    row = PairwiseSubject.objects.select_related("person").filter(agent=agent, sub=sub).first()
    person = row.person if row else User.objects.filter(ref=sub).first()
    if person is None or not person.is_active:
        raise InvalidRequest(NOT_USABLE, detail="subject")
    return person


def _facts(
    client: Client, agent: Agent, person: User | None, server: ForeignServer, target: Target, expires_at: datetime
) -> GrantFacts:
    there = server.clients.filter(agent=agent).values_list("client_id", flat=True).first() or agent.identifier
    return GrantFacts(
        subject=_name_there(server, person) if person else there,
        client_id=there,
        audience=server.issuer,
        scope=target.scope,
        authorization_details=target.details,
        resources=(),
        cnf=confirmation(client.jkt, ""),
        signed_in={},
        email="",
        expires_at=expires_at,
    )


def _name_there(server: ForeignServer, person: User) -> str:
    """Return a person's name at a server: the one agreed on, else one made for it, random and always the same."""
    row, _is_new = ForeignSubject.objects.get_or_create(
        server=server, person=person, defaults={"subject": new_secret(), "is_ours": True}
    )
    return str(row.subject)


def _prepare(
    client: Client, agent: Agent, subject: str, txn: str, facts: GrantFacts, kind: TokenKind, *, now: datetime
) -> tokens.Prepared:
    """Sign it in memory. Its row holds our names; what was signed holds theirs."""
    purpose, typ = {
        TokenKind.JWT_GRANT: (KeyPurpose.JWT_GRANT, GRANT_TYP),
        TokenKind.ID_JAG: (KeyPurpose.ID_JAG, JAG_TYP),
    }[kind]
    jti = new_ref("tok")
    token = signing.current(purpose).sign(claims_of(facts, issuer=settings.ISSUER, jti=jti, now=now), typ)
    row = TokenFacts(
        client_id=client.identifier,
        subject=subject,
        audience=facts.audience,
        scope=facts.scope,
        authorization_details=facts.authorization_details,
        txn=txn,
        expires_at=facts.expires_at,
        approval=None,
        subject_signed=None,
        cnf=facts.cnf,
    )
    return tokens.Prepared(token=token, jti=jti, facts=row, agent=agent, request=None, now=now)


def _save(
    prepared: tokens.Prepared,
    agent: Agent,
    parent: AccessToken | None,
    kind: TokenKind,
    server: ForeignServer,
    target: Target,
    allowed: Allowed,
) -> None:
    charge(allowed.shares, now=prepared.now)
    AccessToken(
        kind=kind,
        agent=agent,
        parent=parent,
        root_ref=root_of(parent) if parent else "",
        depth=parent.depth + 1 if parent else 0,
        act=act_of(agent, parent.act) if parent else None,
        **prepared.values(),
    ).save(force_insert=True)
    note(allowed.shares, jti=prepared.jti, now=prepared.now)
    _, mandatory = tokens.entry_of(
        prepared, actions=actions_of(target), policy_version=allowed.version, policies=allowed.policies
    )
    event = GrantForElsewhereIssued(
        jti=prepared.jti,
        server=server.ref,
        profile=(Profile.ID_JAG if kind == TokenKind.ID_JAG else Profile.CHAINING).value,
        parent=str(parent.jti) if parent else None,
        root=root_of(parent) if parent else prepared.jti,
        expires_at=int(prepared.facts.expires_at.timestamp()),
        policy_version=allowed.version,
        policies=list(allowed.policies),
    )
    record(event, by=prepared.facts.client_id, facts=mandatory)


def _response(prepared: tokens.Prepared) -> dict[str, Any]:
    """It is no access token: N_A, and never a refresh token beside it."""
    lasts = prepared.facts.expires_at - prepared.now
    return {
        "access_token": prepared.token,
        "token_type": "N_A",
        "expires_in": lasts // timedelta(seconds=1),
        "scope": prepared.facts.scope,
    }
