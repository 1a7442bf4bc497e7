"""The subject token, the actor, and the chain that a new token would stand in. Spec: RFC 8693 §2.1, §4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from aims.authentication.client import Client
from aims.authentication.replay import spend
from aims.authorization.errors import InvalidRequest, Outdated
from aims.authorization.models import AccessToken, TokenKind
from aims.authorization.services import trees
from aims.authorization.services.order import begin
from aims.authorization.tokens import LEAST
from aims.authorization.transaction_token import AI_AGENT
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.ids import digest
from aims.people.models import User

DEPTH_MAX = 4  # exchanges for an access token after the first one
NOT_USABLE = "The subject token is not usable by this client."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request says. resources: of ``resource`` and ``audience``. scope, details: None where it says nothing.

    kind: of the subject token. request_details, request_context: of a transaction token, as JSON text.
    further: resources at the server that an identity assertion is for.
    """

    subject_token: str
    actor_token: str | None
    resources: tuple[str, ...]
    scope: str | None
    details: str | None
    kind: TokenKind = TokenKind.ACCESS
    request_details: str | None = None
    request_context: str | None = None
    further: tuple[str, ...] = ()


def enter(client: Client) -> Agent:
    """Lock the agent and spend the proofs, first in the transaction. Raises Outdated, ProofReplayed, DpopReplayed."""
    agent = client.agent
    assert agent is not None
    begin(agent)
    if not Agent.objects.filter(pk=agent.pk, version=agent.version, state=AgentState.ACTIVE).exists():
        raise Outdated
    spend(*client.proofs)
    return agent


def read_subject(client: Client, agent: Agent, asked: Asked, *, now: datetime) -> AccessToken:
    """Return the subject token's row, its tree locked. The same answer whatever is wrong with it: RFC 8693 §2.2.2."""
    # By its hash, so only what we issued as this kind is found; registration tokens have neither agent nor jti.
    rows = AccessToken.of_every_kind.filter(
        token_checksum=digest(asked.subject_token), kind=asked.kind, agent__isnull=False, jti__isnull=False
    )
    trees.lock(rows)
    row = rows.select_related("agent").first()
    if row is None or not all(token.is_sound for token in row.chain()) or row.expires <= now + LEAST:
        raise InvalidRequest(NOT_USABLE, detail="not live")
    if row.kind == TokenKind.TXN:
        check_in_trust_domain(agent)
    else:
        _check_audience(client, agent, row)
    if row.may_act and not _may(row.may_act, client.identifier):
        raise InvalidRequest(NOT_USABLE, detail="may_act")
    return row


def check_in_trust_domain(agent: Agent) -> None:
    """A transaction token is for the workloads of our trust domain, and for nobody outside of it."""
    if agent.trust_domain.name != settings.TRUST_DOMAIN:
        raise InvalidRequest(NOT_USABLE, detail="trust domain")


def is_for(agent: Agent, row: AccessToken) -> bool:
    """Return whether this agent runs the resource that a token is for."""
    return Resource.objects.filter(identifier=row.audience, operator=agent, retired_at=None).exists()


def check_actor(agent: Agent, actor_token: str | None, *, now: datetime) -> None:
    """The client is the actor; a token that it sends as such must say the same."""
    if actor_token is None:
        return
    row = AccessToken.objects.filter(token_checksum=digest(actor_token), agent=agent, expires__gt=now).first()
    if row is None or row.subject_ref != agent.identifier or not all(token.is_sound for token in row.chain()):
        raise InvalidRequest("The actor token is not one of this client for itself.")


def check_loop(agent: Agent, parent: AccessToken) -> None:
    """Its own token may be narrowed; one that went through other hands must not come back."""
    before = [token.agent_id for token in parent.chain()]
    if agent.pk in before and before[0] != agent.pk:
        raise InvalidRequest("This agent is in the chain already.")


def check_depth(parent: AccessToken) -> None:
    """A chain of authority has an end."""
    if parent.depth >= DEPTH_MAX:
        raise InvalidRequest(f"A chain has at most {DEPTH_MAX} exchanges.")


def person_of(parent: AccessToken) -> User | None:
    """Return on whose behalf, None for an agent for itself. Raises InvalidRequest where the subject counts no more."""
    person = User.objects.filter(ref=parent.subject_ref, is_active=True).first()
    if person is None and not Agent.objects.filter(identifier=parent.subject_ref, state=AgentState.ACTIVE).exists():
        raise InvalidRequest(NOT_USABLE, detail="subject")
    return person


def act_of(agent: Agent, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return who acts, with who did before inside; who narrows its own token acts already. Spec: RFC 8693 §4.1."""
    if before and before.get("sub") == agent.identifier:
        return dict(before)
    act: dict[str, Any] = {"sub": agent.identifier, "sub_profile": AI_AGENT}
    return act | {"act": dict(before)} if before else act


def root_of(parent: AccessToken) -> str:
    """Return the jti of the first token of its tree."""
    return parent.root_ref or str(parent.jti)


def holders(parent: AccessToken, agent: Agent) -> list[str]:
    """Return who has held the tokens of a chain so far, the first on the left, and who holds the next."""
    return [*(token.agent.identifier for token in reversed(parent.chain()) if token.agent), agent.identifier]


def _check_audience(client: Client, agent: Agent, row: AccessToken) -> None:
    is_for_it = is_for(agent, row)
    if not (row.agent_id == agent.pk or is_for_it or row.audience == client.identifier):
        raise InvalidRequest(NOT_USABLE, detail="not in its audience")
    # A bound token that is the client's own: with its key. Who it is for can't have that key, and is in its audience.
    if not is_for_it and not client.bound.holds(jkt=row.jkt, x5t_s256=row.x5t_s256):
        raise InvalidRequest(NOT_USABLE, detail="another key")


def _may(may_act: Mapping[str, Any], identifier: str) -> bool:
    """Return whether this is who a token names. A member that we can't judge names nobody. Spec: RFC 8693 §4.4."""
    named = {name: value for name, value in may_act.items() if name != "sub_profile"}
    return bool(named) and named.keys() <= {"sub", "client_id"} and set(named.values()) == {identifier}
