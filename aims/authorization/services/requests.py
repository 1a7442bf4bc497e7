"""The life of an approval request after it was opened: yes, no, withdrawn, too late. Its state moves only here.

Approvals verifies a person's evidence and calls ``approve`` or ``deny`` inside its own transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from aims.authorization import queries
from aims.authorization.models import ApprovalRequest, BackchannelRequest
from aims.authorization.request_errors import (
    AgentNotActive,
    AlreadyDecided,
    NotYours,
    PolicyChanged,
    RequestOver,
)
from aims.authorization.request_events import (
    RequestApproved,
    RequestCancelled,
    RequestDenied,
    RequestExpired,
    RequestSuperseded,
)
from aims.authorization.services import policy
from aims.authorization.services.opening import OpenRequest as OpenRequest
from aims.authorization.services.opening import open_request as open_request
from aims.authorization.states import OPEN, RequestState, sources_of
from aims.identifier.models import Agent, AgentState
from aims.kit.ids import digest
from aims.kit.nudge import Topic, nudge
from aims.people.models import Role, RoleHolding, User
from aims.policy.engine import Deny
from audit.write import Event, Facts, record

WITHDRAWABLE = OPEN | {RequestState.APPROVED}
PING_GRACE = timedelta(seconds=1)  # CIBA 1.0 §10.2: never before the answer with the auth_req_id has left
SWEEP_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a verified assertion proved. auth_time: NumericDate. approved_until_at: last moment of use."""

    person_ref: str
    acr: str
    amr: tuple[str, ...]
    auth_time: int
    decided_at: datetime
    approved_until_at: datetime


@dataclass(frozen=True)
class ReceiptRef:
    """The receipt that holds the evidence. hash: ``sha-256:…`` over the ASCII of the JWS."""

    ref: str
    hash: str


def approve(request: ApprovalRequest, *, evidence: Evidence, receipt: ReceiptRef, now: datetime) -> str:
    """Move a waiting request to approved; return the id of its audit entry. Call it with verified evidence only.

    Raises AlreadyDecided, RequestOver, AgentNotActive, NotYours; PolicyChanged, after which the caller, its own
    transaction ended, calls ``reconsider``. Raising changes nothing.
    """
    assert request.required == 1, "quorum is not built; opening and apply refuse it"
    with transaction.atomic():
        row = locked(request)
        person = hold(evidence.person_ref)
        _guard_decision(row, person, now=now)
        _guard_policy(row, person, now=now)
        move(
            request,
            to=RequestState.APPROVED,
            of=OPEN,
            decided_at=evidence.decided_at,
            approved_until_at=evidence.approved_until_at,
            receipt_ref=receipt.ref,
            receipt_hash=receipt.hash,
            decided_by=[evidence.person_ref],
            subject_signed=_subject_signed(row, evidence),
        )
        _close_door(row, now=now)
        event = RequestApproved(
            request=row.ref,
            request_hash=row.request_hash,
            receipt=receipt.ref,
            receipt_hash=receipt.hash,
            approved_until=int(evidence.approved_until_at.timestamp()),
            acr=evidence.acr,
        )
        return record(event, by=evidence.person_ref, facts=facts_of(row, decision="approve"))


def deny(request: ApprovalRequest, *, person: User, is_signed: bool, now: datetime) -> str:
    """Move a waiting request to denied; return the id of its audit entry. One no ends it.

    Raises AlreadyDecided, RequestOver, NotYours. A no needs no active agent: it must always be possible.
    """
    with transaction.atomic():
        row = locked(request)
        if row.expires_at <= now:
            raise RequestOver(detail=row.ref)
        if not queries.may_decide(person, row):
            raise NotYours(detail=row.ref)
        move(
            request,
            to=RequestState.DENIED,
            of=OPEN,
            decided_at=now,
            decided_by=[person.ref],
        )
        _close_door(row, now=now)
        return record(
            _denied(row, "person", is_signed=is_signed),
            by=person.ref,
            facts=facts_of(row, decision="deny"),
        )


def reconsider(request: ApprovalRequest, *, now: datetime) -> RequestState:
    """End a request that the policy of now would deny or ask more for; return its state after that.

    A request about which the policy says the same as before stays as it is.
    """
    with transaction.atomic():
        row = locked(request)
        if RequestState(row.state) not in WITHDRAWABLE:
            return RequestState(row.state)
        answer = policy.consult_again(row, now=now)
        deciders = row.decided_by
        if isinstance(answer, Deny):
            deny_by_policy(row, answer, now=now)
        elif policy.is_stricter(answer, row, deciders=deciders, now=now) or not policy.eligible(answer, row, now=now):
            supersede(row, version=answer.version, policies=answer.policies, now=now)
    request.refresh_from_db()
    return RequestState(request.state)


def deny_by_policy(request: ApprovalRequest, answer: Deny, *, now: datetime) -> None:
    """Move a request to denied because the policy of now says no. Call it inside a transaction."""
    move(request, to=RequestState.DENIED, of=WITHDRAWABLE, decided_at=now)
    _close_door(request, now=now)
    event = _denied(request, "policy", is_signed=False, policies=answer.policies)
    record(event, by="system", facts=facts_of(request, decision="deny"))


def supersede(request: ApprovalRequest, *, version: int, policies: Iterable[str], now: datetime) -> None:
    """Move a request to superseded because the policy of now asks for more. Call it inside a transaction."""
    move(request, to=RequestState.SUPERSEDED, of=WITHDRAWABLE, decided_at=now)
    _close_door(request, now=now)
    event = RequestSuperseded(
        request=request.ref,
        request_hash=request.request_hash,
        policy_version=version,
        policies=list(policies),
        polls=request.polls,
    )
    record(event, by="system", facts=facts_of(request, decision="deny"))


def cancel(request: ApprovalRequest, *, by: str, reason: str, now: datetime) -> None:
    """Withdraw a request that was not redeemed yet. Raises AlreadyDecided."""
    with transaction.atomic():
        row = locked(request)
        move(request, to=RequestState.CANCELLED, of=WITHDRAWABLE, decided_at=now)
        _close_door(row, now=now)
        event = RequestCancelled(
            request=row.ref,
            request_hash=row.request_hash,
            reason=reason,
            polls=row.polls,
        )
        record(event, by=by, facts=facts_of(row, decision="not_applicable"))


def cancel_by_auth_req_id(agent: Agent, auth_req_id: str, *, now: datetime) -> ApprovalRequest | None:
    """Withdraw the request of this id if it is this agent's and not over; None where there is nothing to withdraw."""
    door = BackchannelRequest.objects.select_related("request").filter(
        auth_req_id_hash=digest(auth_req_id), request__agent=agent
    )
    found = door.first()
    if found is None:
        return None
    try:
        cancel(found.request, by=agent.identifier, reason="client", now=now)
    except AlreadyDecided:
        return None
    return found.request


def cancel_all_of(agent: Agent, *, by: str, reason: str, now: datetime) -> int:
    """Withdraw everything of this agent that waits or was not redeemed yet; return how many."""
    open_ones = list(ApprovalRequest.objects.filter(agent=agent, state__in=WITHDRAWABLE))
    for request in open_ones:
        try:
            cancel(request, by=by, reason=reason, now=now)
        except AlreadyDecided:  # decided or redeemed meanwhile: its token falls with the agent's others
            continue
    return len(open_ones)


def expire_due(*, now: datetime) -> int:
    """Expire requests nobody answered and approvals nobody used in time; return how many."""
    due = ApprovalRequest.objects.filter(state__in=OPEN, expires_at__lte=now)
    unused = ApprovalRequest.objects.filter(state=RequestState.APPROVED, approved_until_at__lte=now)
    found = [
        *due.order_by("expires_at")[:SWEEP_MAX],
        *unused.order_by("approved_until_at")[:SWEEP_MAX],
    ]
    return sum(_expire(request, now=now) for request in found)


def move(
    request: ApprovalRequest,
    *,
    to: RequestState,
    of: frozenset[RequestState] | None = None,
    **updates: Any,
) -> None:
    """Move exactly one row to a lawful state, with these columns. Raises AlreadyDecided if no row moved.

    of: the states it may come from, where fewer than the lawful ones. Rings for who may see it.
    """
    sources = sources_of(to) if of is None else sources_of(to) & of
    moved = ApprovalRequest.objects.filter(pk=request.pk, state__in=sources).update(state=to, **updates)
    if moved != 1:
        raise AlreadyDecided(detail=f"{request.ref} to {to}")
    for name, value in ({"state": to} | updates).items():
        setattr(request, name, value)
    ring(request)


def ring(request: ApprovalRequest) -> None:
    """Ring for who waits for a request or may see it, once it has moved."""
    nudge(Topic.REQUEST, to=[request.ref])
    nudge(
        Topic.INBOX,
        to=[*request.eligible.values_list("ref", flat=True), request.agent.owner.ref, request.subject.ref],
    )


def facts_of(request: ApprovalRequest, *, decision: str, remediation: str | None = None) -> Facts:
    """Return the seven fields of the log for an entry about this request."""
    return Facts(
        agent=request.agent.identifier,
        subject=request.subject.ref,
        resource=request.resource,
        action=",".join(dict.fromkeys(kept["action"] for kept in request.facts)),
        decision=decision,
        txn=request.txn,
        posture=policy.POSTURE_UNKNOWN,
        remediation=remediation,
    )


def locked(request: ApprovalRequest) -> ApprovalRequest:
    """Return the request as it is now, its agent's row and its own locked: in this order, everywhere."""
    Agent.objects.select_for_update(no_key=True).get(pk=request.agent_id)
    rows = ApprovalRequest.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("agent", "agent__owner", "subject").get(pk=request.pk)


def hold(person_ref: str) -> User:
    """Return a person, their row and their role as an approver locked: who ends either waits for us, or we see it.

    After the request, before any of their keys: who ends a key takes its person first.
    """
    person = User.objects.select_for_update(no_key=True).get(ref=person_ref)
    roles = RoleHolding.objects.select_for_update(no_key=True)
    list(roles.filter(person=person, role=Role.APPROVER, until_at=None).values_list("pk"))
    return person


def _guard_decision(request: ApprovalRequest, person: User, *, now: datetime) -> None:
    if RequestState(request.state) not in OPEN:
        raise AlreadyDecided(detail=request.ref)
    if request.expires_at <= now:
        raise RequestOver(detail=request.ref)
    if request.agent.state != AgentState.ACTIVE:  # its row is locked: a suspension waits for us, or we see it
        raise AgentNotActive(detail=request.ref)
    if not queries.may_decide(person, request):
        raise NotYours(detail=request.ref)


def _guard_policy(request: ApprovalRequest, person: User, *, now: datetime) -> None:
    answer = policy.consult_again(request, now=now)
    if isinstance(answer, Deny) or policy.is_stricter(answer, request, deciders=[person.ref], now=now):
        raise PolicyChanged(detail=request.ref)


def _subject_signed(request: ApprovalRequest, evidence: Evidence) -> dict[str, Any] | None:
    if evidence.person_ref != request.subject.ref:
        return None
    return {
        "acr": evidence.acr,
        "amr": list(evidence.amr),
        "auth_time": evidence.auth_time,
    }


def _close_door(request: ApprovalRequest, *, now: datetime) -> None:
    # A crash after this commit loses nothing: the sweep finds the row by ping_due_at.
    due_at = max(now, request.opened_at + PING_GRACE)
    waiting = BackchannelRequest.objects.filter(request=request, mode="ping", ping_outcome="", ping_due_at=None)
    if waiting.update(ping_due_at=due_at):
        nudge(Topic.PING)


def _expire(request: ApprovalRequest, *, now: datetime) -> bool:
    was = RequestState(request.state)
    with transaction.atomic():
        try:
            move(request, to=RequestState.EXPIRED, of=frozenset({was}))
        except AlreadyDecided:
            return False
        if was in OPEN:  # CIBA 1.0 §10.2: no ping on expiry, so nothing is delivered any more
            BackchannelRequest.objects.filter(request=request).update(sealed_delivery=None)
        event = RequestExpired(
            request=request.ref,
            request_hash=request.request_hash,
            was=was.value,
            polls=request.polls,
        )
        record(event, by="system", facts=facts_of(request, decision="not_applicable"))
    return True


def _denied(
    request: ApprovalRequest,
    reason: str,
    *,
    is_signed: bool,
    policies: Iterable[str] = (),
) -> Event:
    return RequestDenied(
        request=request.ref,
        request_hash=request.request_hash,
        reason=reason,
        is_signed=is_signed,
        policies=list(policies),
        polls=request.polls,
    )
