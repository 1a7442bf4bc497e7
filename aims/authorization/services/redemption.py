"""From a yes to a token: polls, and the one redemption. Spec: CIBA Core 1.0 §10.1, §11.

What is locked in which order: ``order.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authentication.bound import Bound
from aims.authentication.client import Client
from aims.authorization.asking import Asking
from aims.authorization.errors import AccessDenied, BudgetSpent, InvalidGrant
from aims.authorization.models import ApprovalRequest, AuthorizationCode
from aims.authorization.request_events import RedemptionRefused
from aims.authorization.services import policy, polling, redeemable, tokens
from aims.authorization.services.backchannel import once
from aims.authorization.services.metering import Share, charge, note
from aims.authorization.services.requests import cancel, deny_by_policy, facts_of, locked, move, supersede
from aims.authorization.states import OPEN, RequestState
from aims.authorization.tokens import LEAST
from aims.identifier.models import Agent, AgentState
from aims.kit.errors import AimsError
from aims.policy import latch
from aims.policy.engine import Deny
from audit.write import Facts, record

Outcome = dict[str, Any] | AimsError


def redeem(client: Client, agent: Agent, auth_req_id: str, *, now: datetime) -> dict[str, Any]:
    """Return the token response for an approved request, once.

    Raises AuthorizationPending, SlowDown, ExpiredToken, AccessDenied, InvalidGrant, ProofReplayed, DpopReplayed.
    Whatever the answer, the client's proofs are spent and the poll is counted in the same transaction.
    """
    outcome = once(
        client,
        lambda: _outcome(agent, auth_req_id, bound=client.bound, now=now),
        lambda error: _record_refusal(agent, "", error),
    )
    return _answered(outcome)


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """A request that a held poll waits for."""

    ref: str
    expires_at: datetime
    interval_s: int


def awaited(agent: Agent, auth_req_id: str) -> Awaited | None:
    """Return what a held poll waits for; None where the id leads to no request of this agent."""
    door = polling.door_of(agent, auth_req_id)
    if door is None:
        return None
    return Awaited(ref=door.request.ref, expires_at=door.request.expires_at, interval_s=door.interval_s)


def redeem_decided(agent: Agent, auth_req_id: str, *, bound: Bound, now: datetime) -> dict[str, Any] | None:
    """Return the token response if the request was decided, None while it waits: the second look of a held poll.

    Its proofs were spent and the poll counted when it arrived. bound: what it proved
    to hold. Raises as ``redeem``, but for the pending ones.
    """
    with transaction.atomic():
        door = polling.door_of(agent, auth_req_id)
        if door and RequestState(door.request.state) in OPEN and door.request.expires_at > now:
            return None
        outcome = _outcome(agent, auth_req_id, bound=bound, now=now)
    return _answered(outcome)


def _answered(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, AimsError):
        raise outcome
    return outcome


def _outcome(agent: Agent, auth_req_id: str, *, bound: Bound, now: datetime) -> Outcome:
    """Return the token response or the error. Returned, not raised: what was written has to be committed."""
    door = polling.door_of(agent, auth_req_id)
    if door is None:
        return _refused(agent, "", InvalidGrant())
    request = door.request
    # Before anything is consumed: its holder may still come. Not by certificate: these are renewed by the hour.
    if not bound.holds(jkt=door.jkt, x5t_s256=""):
        return _refused(agent, request.ref, InvalidGrant("Prove by DPoP the key that the request was made with."))
    if RequestState(request.state) in OPEN and request.expires_at > now:
        return polling.answer_pending(door, now=now)
    if error := redeemable.not_redeemable(request, now=now):
        return _refused(agent, request.ref, error)
    return _redeemed(agent, request, bound=bound, now=now)


def _redeemed(agent: Agent, seen: ApprovalRequest, *, bound: Bound, now: datetime) -> Outcome:
    prepared = redeem_approved(seen, bound=bound, now=now)
    return prepared if isinstance(prepared, AimsError) else redeemable.response_of(seen, prepared, now=now)


def redeem_approved(
    seen: ApprovalRequest, *, bound: Bound, now: datetime, code: AuthorizationCode | None = None
) -> tokens.Prepared | AimsError:
    """Return the stored token of an approved request, or why there is none; either way what was written must be committed.

    code: by which it was agreed to, None where the request came in by another door; then the person who signed in there
    is whom the token speaks for. In the caller's transaction, which holds the agent's row.
    """
    agent = seen.agent
    latch.share()  # before any row, as everywhere
    request = locked(seen)
    # Whoever was faster (a redemption, a withdrawal, the sweep) has left a state: the answer is that state's.
    if error := redeemable.not_redeemable(request, now=now):
        return _refused(agent, request.ref, error)
    if request.agent.state != AgentState.ACTIVE:
        return _refused(agent, request.ref, AccessDenied("The request was not approved."))
    around = policy.around_of(request, now=now + LEAST)
    answer = _reconsidered(request, around, binding=bound.binding, now=now)
    if isinstance(answer, AimsError):
        return answer
    statement = redeemable.statement_of(request)
    shares = redeemable.shares_in(request, statement, around.grants, is_agreed=code is not None, now=now)
    try:
        with transaction.atomic():  # half a charge is taken back; what the poll wrote stays
            charge(shares, now=now)
    except BudgetSpent as error:
        cancel(request, by="system", reason="budget_spent", now=now)
        return _refused(agent, request.ref, error)
    move(request, to=RequestState.REDEEMED, of=frozenset({RequestState.APPROVED}), redeemed_at=now)
    facts = redeemable.token_facts(request, statement, shares, around.grants, bound=bound, code=code, now=now)
    prepared = tokens.prepare(facts, agent=request.agent, request=request, code=code, now=now)
    _store(request, prepared, answer, shares, now=now)
    return prepared


def _reconsidered(
    request: ApprovalRequest, around: policy.Around, *, binding: str, now: datetime
) -> Asking | AimsError:
    # A grant about to run out allows nothing any more.
    answer = policy.consult_again(request, binding=binding, around=around, now=now + LEAST)
    if isinstance(answer, Deny):
        deny_by_policy(request, answer, now=now)
        return AccessDenied("The policy has changed and does not allow this any more.")
    if policy.is_stricter(answer, request, deciders=request.decided_by, now=now):
        supersede(request, version=answer.version, policies=answer.policies, now=now)
        return AccessDenied("The policy has changed and asks for more. Ask again.")
    return answer


def _store(
    request: ApprovalRequest, prepared: tokens.Prepared, asking: Asking, shares: Sequence[Share], *, now: datetime
) -> None:
    actions = redeemable.actions_of(request)
    tokens.save(prepared, actions=actions, policy_version=asking.version, policies=asking.policies)
    note(shares, jti=prepared.jti, now=now)
    event = redeemable.closing(request, jti=prepared.jti, polls=request.polls)
    record(event, by=request.agent.identifier, facts=facts_of(request, decision="allow"))


def _refused(agent: Agent, ref: str, error: AimsError) -> AimsError:
    _record_refusal(agent, ref, error)
    return error


def _record_refusal(agent: Agent, ref: str, error: AimsError) -> None:
    facts = Facts(
        agent=agent.identifier,
        subject=None,
        resource=None,
        action=None,
        decision="deny",
        txn=None,
        posture=policy.POSTURE_UNKNOWN,
        remediation=None,
    )
    record(RedemptionRefused(request=ref, code=error.code), by=agent.identifier, facts=facts)
