"""What most redemptions are: approved, in time, allowed still, no budget. Read without a lock, written as one row.

The row counts only if whatever it was decided on is still so (``issuing``). Everything else, every refusal above all, is
``redemption``'s, which locks what it looks at and writes down what it finds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aims.authentication.client import Client
from aims.authorization import queries
from aims.authorization.asking import Asking
from aims.authorization.models import Application, BackchannelRequest
from aims.authorization.services import gathering, issuing, policy, polling, redeemable, tokens
from aims.authorization.services.issuing import Issue, Seen
from aims.authorization.services.metering import is_metered
from aims.authorization.services.requests import facts_of, ring
from aims.authorization.states import RequestState
from aims.authorization.tokens import LEAST
from aims.identifier.models import Agent, AgentState
from aims.kit.ids import digest
from aims.policy.engine import Deny
from audit.write import inbox_payload


def redeem(client: Client, agent: Agent, auth_req_id: str, *, now: datetime) -> dict[str, Any] | None:
    """Return the token response for an approved request, once. None: nothing was written, and the proofs are good still.

    Raises ProofReplayed, DpopReplayed, Unavailable. Call it outside transactions. A crash behind the commit leaves a
    token that nobody holds and an approval that is used up: as if the answer had been lost on its way.
    """
    door = _door(agent, auth_req_id)
    row = decided(client, agent, door, now=now) if door else None
    if door is None or row is None:
        return None
    outcome = gathering.written(row)
    if not outcome.is_as_seen:
        return None
    issuing.judge(row, outcome)
    ring(door.request)
    return redeemable.response_of(door.request, row.prepared, now=now)


def decided(client: Client, agent: Agent, door: BackchannelRequest, *, now: datetime) -> Issue | None:
    """Return the token that is to be written; None where it is not as simple as that."""
    request, bound = door.request, client.bound
    if not _is_open(client, agent, door, now=now):
        return None
    around = policy.around_of(request, now=now + LEAST)
    answer = policy.consult_again(request, binding=bound.binding, around=around, now=now + LEAST)
    if around.resource is None or isinstance(answer, Deny):
        return None
    if policy.is_stricter(answer, request, deciders=request.decided_by, now=now):
        return None
    statement = redeemable.statement_of(request)
    shares = redeemable.shares_in(request, statement, around.grants, is_agreed=False, now=now)
    if is_metered(shares):  # what has no room left ends the request, which only a transaction can
        return None
    facts = redeemable.token_facts(request, statement, shares, around.grants, bound=bound, code=None, now=now)
    prepared = tokens.prepare(facts, agent=request.agent, request=request, now=now)
    seen = Seen(
        agent=agent,
        resource=around.resource,
        policy_version=answer.version,
        policy_hash=answer.hash,
        shares=shares,
    )
    return _row(client, door, prepared, answer, seen)


def _is_open(client: Client, agent: Agent, door: BackchannelRequest, *, now: datetime) -> bool:
    """Return whether this client may redeem here, and now. Its agent's version is that of its key, so both still count."""
    request = door.request
    return (
        request.agent.version == agent.version
        and request.agent.state == AgentState.ACTIVE
        and polling.may_poll(_application(request.agent))
        and client.bound.holds(jkt=door.jkt, x5t_s256="")
        and request.state == RequestState.APPROVED
        and redeemable.not_redeemable(request, now=now) is None
    )


def _row(client: Client, door: BackchannelRequest, prepared: tokens.Prepared, answer: Asking, seen: Seen) -> Issue:
    request = door.request
    issued, facts = tokens.entry_of(
        prepared,
        actions=redeemable.actions_of(request),
        policy_version=answer.version,
        policies=answer.policies,
    )
    used_up = redeemable.closing(request, jti=prepared.jti, polls=door.polls)
    return Issue(
        prepared=prepared,
        proofs=client.proofs,
        seen=seen,
        payload=inbox_payload(issued, by=client.identifier, facts=facts),
        closing=inbox_payload(used_up, by=client.identifier, facts=facts_of(request, decision="allow")),
    )


def _door(agent: Agent, auth_req_id: str) -> BackchannelRequest | None:
    """Return the door that an id opens for its own agent, with all that is read of its request."""
    found = BackchannelRequest.objects.filter(auth_req_id_hash=digest(auth_req_id), request__agent=agent)
    near = ("request__agent__owner", "request__agent__application", "request__subject")
    return found.select_related(*near).first()


def _application(agent: Agent) -> Application:
    return getattr(agent, "application", None) or queries.unregistered(agent)
