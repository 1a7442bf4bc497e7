"""From a yes to a token: polls, and the one redemption. Spec: CIBA Core 1.0 §10.1, §11.

What is locked in which order: ``order.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.bound import Bound
from aims.authentication.client import Client
from aims.authorization import queries
from aims.authorization.asking import Asking
from aims.authorization.errors import AccessDenied, BudgetSpent, InvalidGrant
from aims.authorization.identity import id_token
from aims.authorization.models import ApprovalRequest, AuthorizationCode, DelegationGrant
from aims.authorization.request_errors import ExpiredToken
from aims.authorization.request_events import RedemptionRefused, RequestRedeemed
from aims.authorization.services import policy, polling, tokens
from aims.authorization.services.backchannel import once
from aims.authorization.services.metering import Share, charge, note, shares_of, with_room
from aims.authorization.services.requests import cancel, deny_by_policy, facts_of, locked, move, supersede
from aims.authorization.services.subjects import pairwise
from aims.authorization.statement import Statement, parse, request_hash
from aims.authorization.states import OPEN, RequestState
from aims.authorization.tokens import LEAST, TokenFacts, confirmation, expiry
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
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
    if error := _not_redeemable(request, now=now):
        return _refused(agent, request.ref, error)
    return _redeemed(agent, request, bound=bound, now=now)


def _not_redeemable(request: ApprovalRequest, *, now: datetime) -> AimsError | None:
    """Return the error of §11 for a request that waits no more; None where it was approved and may still be used."""
    state = RequestState(request.state)
    if state == RequestState.APPROVED:
        is_in_time = request.approved_until_at is not None and request.approved_until_at > now
        return None if is_in_time else ExpiredToken()
    if state in OPEN or state == RequestState.EXPIRED:
        return ExpiredToken()
    if state == RequestState.REDEEMED:
        return InvalidGrant()
    return AccessDenied("The request was not approved.")


def _redeemed(agent: Agent, seen: ApprovalRequest, *, bound: Bound, now: datetime) -> Outcome:
    prepared = redeem_approved(seen, bound=bound, now=now)
    if isinstance(prepared, AimsError):
        return prepared
    response = prepared.response()
    if identity := _identity(seen, now=now):
        response["id_token"] = signing.current(KeyPurpose.ID_TOKEN).sign(identity, "JWT")
    return response


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
    if error := _not_redeemable(request, now=now):
        return _refused(agent, request.ref, error)
    if request.agent.state != AgentState.ACTIVE:
        return _refused(agent, request.ref, AccessDenied("The request was not approved."))
    answer = _reconsidered(request, binding=bound.binding, now=now)
    if isinstance(answer, AimsError):
        return answer
    shares = _shares(request, parse(bytes(request.statement)), is_agreed=code is not None, now=now)
    try:
        with transaction.atomic():  # half a charge is taken back; what the poll wrote stays
            charge(shares, now=now)
    except BudgetSpent as error:
        cancel(request, by="system", reason="budget_spent", now=now)
        return _refused(agent, request.ref, error)
    move(request, to=RequestState.REDEEMED, of=frozenset({RequestState.APPROVED}), redeemed_at=now)
    return _issued(request, answer, shares, bound=bound, code=code, now=now)


def _reconsidered(request: ApprovalRequest, *, binding: str, now: datetime) -> Asking | AimsError:
    # A grant about to run out allows nothing any more.
    answer = policy.consult_again(request, binding=binding, now=now + LEAST)
    if isinstance(answer, Deny):
        deny_by_policy(request, answer, now=now)
        return AccessDenied("The policy has changed and does not allow this any more.")
    if policy.is_stricter(answer, request, deciders=request.decided_by, now=now):
        supersede(request, version=answer.version, policies=answer.policies, now=now)
        return AccessDenied("The policy has changed and asks for more. Ask again.")
    return answer


def _issued(
    request: ApprovalRequest,
    asking: Asking,
    shares: Sequence[Share],
    *,
    bound: Bound,
    code: AuthorizationCode | None,
    now: datetime,
) -> tokens.Prepared:
    raw = bytes(request.statement)
    assert request_hash(raw) == request.request_hash, "the stored statement is not the one that was signed"
    statement = parse(raw)
    facts = _token_facts(request, statement, shares, bound=bound, code=code, now=now)
    prepared = tokens.prepare(facts, agent=request.agent, request=request, code=code, now=now)
    actions = list(dict.fromkeys(kept["action"] for kept in request.facts))
    tokens.save(prepared, actions=actions, policy_version=asking.version, policies=asking.policies)
    note(shares, jti=prepared.jti, now=now)
    event = RequestRedeemed(
        request=request.ref,
        request_hash=request.request_hash,
        receipt_hash=request.receipt_hash,
        jti=prepared.jti,
        polls=request.polls,
    )
    record(event, by=request.agent.identifier, facts=facts_of(request, decision="allow"))
    return prepared


def _token_facts(
    request: ApprovalRequest,
    statement: Statement,
    shares: Sequence[Share],
    *,
    bound: Bound,
    code: AuthorizationCode | None,
    now: datetime,
) -> TokenFacts:
    assert request.approved_until_at is not None
    theirs = _theirs(request, _grants(request, now=now), now=now)
    # The person if they signed or agreed, or a grant from them covers all of it; else the agent acts for itself.
    subject_signed = code.signed_in if code else request.subject_signed
    is_for_person = subject_signed is not None or theirs is not None
    ends = [request.approved_until_at, *(share.grant.until_at for share in shares)]
    return TokenFacts(
        client_id=statement.client_id,
        subject=statement.sub if is_for_person else statement.client_id,
        audience=statement.resource,
        scope=statement.scope,
        authorization_details=statement.authorization_details,  # exactly as approved
        txn=request.txn,
        expires_at=expiry(now=now, ends=ends),
        approval=tokens.approval_of(request),
        subject_signed=subject_signed,
        cnf=confirmation(bound.jkt, bound.x5t_s256),
    )


def _shares(request: ApprovalRequest, statement: Statement, *, is_agreed: bool, now: datetime) -> tuple[Share, ...]:
    """Return what the token takes from the grants that cover each part of a request: the policy was asked under these."""
    grants = _grants(request, now=now)
    pairs: list[tuple[DelegationGrant | None, Mapping[str, Any] | None]] = []
    for kept in request.facts:
        found = queries.covering(grants, actions=(kept["action"],), types=(kept["detail_type"],), now=now)
        details = [each for each in statement.authorization_details if _is_about(kept, each)]
        grant = with_room(found, details[0] if details else None, now=now)
        pairs += [(grant, detail) for detail in details] or [(grant, None)]
    if request.subject_signed is None and not is_agreed:  # then it speaks for the person by a grant of theirs alone
        theirs = _theirs(request, grants, now=now)
        pairs += [(theirs, detail) for detail in [*statement.authorization_details, None]]
    return shares_of(pairs)


def _is_about(kept: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    names = detail.get("actions")
    return bool(detail["type"] == kept["detail_type"]) and (names is None or kept["action"] in names)


def _grants(request: ApprovalRequest, *, now: datetime) -> list[DelegationGrant]:
    return queries.grants_covering(
        agent=request.agent, person=request.subject, resource=request.resource, actions=(), types=(), now=now + LEAST
    )


def _theirs(request: ApprovalRequest, grants: Sequence[DelegationGrant], *, now: datetime) -> DelegationGrant | None:
    """Return the subject's own grant that covers all of a request and lasts longest."""
    own = [grant for grant in grants if grant.from_person_id == request.subject_id]
    actions, types = {kept["action"] for kept in request.facts}, {kept["detail_type"] for kept in request.facts}
    return next(iter(queries.covering(own, actions=actions, types=types, now=now)), None)


def _identity(request: ApprovalRequest, *, now: datetime) -> dict[str, Any] | None:
    """Return the claims of the ID token; None unless the subject signed: nobody else's sign-in may be asserted."""
    if request.subject_signed is None:
        return None
    return id_token(
        issuer=settings.ISSUER,
        sub=pairwise(request.subject, request.agent),
        client_id=request.agent.identifier,
        signed_in=request.subject_signed,
        more={"txn": request.txn},
        now=now,
    )


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
