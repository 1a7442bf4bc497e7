"""From a yes to a token: polls, and the one redemption. Spec: CIBA Core 1.0 §10.1, §11.

Rows are locked in one order everywhere: agent, request, door.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from aims.authentication.client import Client
from aims.authorization import approved, queries
from aims.authorization.models import AccessToken, Application, ApprovalRequest, BackchannelRequest
from aims.authorization.request_errors import (
    AccessDenied,
    AlreadyDecided,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    SlowDown,
)
from aims.authorization.request_events import RedemptionRefused, RequestRedeemed
from aims.authorization.services import policy
from aims.authorization.services.backchannel import once
from aims.authorization.services.requests import deny_by_policy, facts_of, locked, move, supersede
from aims.authorization.statement import Statement, parse, request_hash
from aims.authorization.states import OPEN, RequestState
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.identifier.models import Agent, AgentState
from aims.kit.errors import AimsError
from aims.kit.ids import digest, new_ref
from aims.policy.engine import Deny
from audit.write import Facts, record

SLOWER_BY_S = 5
EARLY_TOLERANCE = timedelta(milliseconds=500)  # the interval is measured where the poll is sent, not where it arrives

Outcome = dict[str, Any] | AimsError


def redeem(client: Client, agent: Agent, auth_req_id: str, *, now: datetime) -> dict[str, Any]:
    """Return the token response for an approved request, once.

    Raises AuthorizationPending, SlowDown, ExpiredToken, AccessDenied, InvalidGrant, ProofReplayed. Whatever the
    answer, the client's proof is spent and the poll is counted in the same transaction.
    """
    outcome = once(
        client,
        lambda: _outcome(agent, auth_req_id, is_poll=True, now=now),
        lambda error: _record_refusal(agent, "", error),
    )
    return _answered(outcome)


def look_again(agent: Agent, auth_req_id: str, *, now: datetime) -> dict[str, Any]:
    """Answer a held poll (CIBA 1.0 §11): its proof was spent and it was counted when it came. Raises as ``redeem``."""
    with transaction.atomic():
        outcome = _outcome(agent, auth_req_id, is_poll=False, now=now)
    return _answered(outcome)


def request_ref(agent: Agent, auth_req_id: str) -> str | None:
    """Return the ref of this agent's request of this id: what a held poll waits for."""
    found = BackchannelRequest.objects.filter(auth_req_id_hash=digest(auth_req_id), request__agent=agent)
    return found.values_list("request__ref", flat=True).first()


def _answered(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, AimsError):
        raise outcome
    return outcome


def _outcome(agent: Agent, auth_req_id: str, *, is_poll: bool, now: datetime) -> Outcome:
    """Return the token response or the error. Returned, not raised: what was written has to be committed."""
    # Bound to the client first: an id in the wrong hands is as unknown, and stays good for its owner.
    found = BackchannelRequest.objects.filter(auth_req_id_hash=digest(auth_req_id), request__agent=agent)
    door = found.select_related("request").first()
    if door is None:
        return _refused(agent, "", InvalidGrant())
    request = door.request
    state = RequestState(request.state)
    if state in OPEN and request.expires_at > now:
        return _pending(door, is_poll=is_poll, now=now)
    if state in OPEN or state == RequestState.EXPIRED:
        return _refused(agent, request.ref, ExpiredToken())
    if state == RequestState.REDEEMED:
        return _refused(agent, request.ref, InvalidGrant())
    if state != RequestState.APPROVED:
        return _refused(agent, request.ref, AccessDenied())
    return _redeemed(agent, request, now=now)


def _pending(door: BackchannelRequest, *, is_poll: bool, now: datetime) -> AimsError:
    if not is_poll:
        return AuthorizationPending(retry_after_s=door.interval_s)
    last = door.last_poll_at
    is_early = last is not None and now < last + timedelta(seconds=door.interval_s) - EARLY_TOLERANCE
    ApprovalRequest.objects.filter(pk=door.request_id).update(polls=F("polls") + 1)
    mine = BackchannelRequest.objects.filter(pk=door.pk, last_poll_at=last)
    # Two polls at once: the one that does not move the clock overlapped the other, which §11 forbids.
    if mine.update(last_poll_at=now) != 1 or is_early:
        BackchannelRequest.objects.filter(pk=door.pk).update(interval_s=F("interval_s") + SLOWER_BY_S)
        return SlowDown(retry_after_s=door.interval_s + SLOWER_BY_S)
    return AuthorizationPending(retry_after_s=door.interval_s)


def _redeemed(agent: Agent, seen: ApprovalRequest, *, now: datetime) -> Outcome:
    request = locked(seen)
    if request.agent.state != AgentState.ACTIVE:
        return _refused(agent, request.ref, AccessDenied())
    if RequestState(request.state) != RequestState.APPROVED:
        return _refused(agent, request.ref, InvalidGrant())
    if request.approved_until_at is None or request.approved_until_at <= now:
        return _refused(agent, request.ref, ExpiredToken())
    if trouble := _reconsidered(request, now=now):
        return trouble
    try:
        move(request, to=RequestState.REDEEMED, of=frozenset({RequestState.APPROVED}), redeemed_at=now)
    except AlreadyDecided:
        return _refused(agent, request.ref, InvalidGrant())
    return _issued(request, now=now)


def _reconsidered(request: ApprovalRequest, *, now: datetime) -> AimsError | None:
    answer = policy.consult_again(request, now=now)
    if isinstance(answer, Deny):
        deny_by_policy(request, answer, now=now)
        return AccessDenied("The policy has changed and does not allow this any more.")
    if policy.is_stricter(answer, request, deciders=request.decided_by, now=now):
        supersede(request, version=answer.version, policies=answer.policies, now=now)
        return AccessDenied("The policy has changed and asks for more. Ask again.")
    return None


def _issued(request: ApprovalRequest, *, now: datetime) -> dict[str, Any]:
    raw = bytes(request.statement)
    assert request_hash(raw) == request.request_hash, "the stored statement is not the one that was signed"
    statement, decided, jti = parse(raw), _approved(request), new_ref("tok")
    now_s = int(now.timestamp())
    claims = approved.access_token(
        statement, decided, sub=_sub(request, statement, now=now), jti=jti, txn=request.txn, now_s=now_s
    )
    token = signing.current(KeyPurpose.ACCESS_TOKEN).sign(claims, "at+jwt")
    _store(request, claims, token, now=now)
    event = RequestRedeemed(
        request=request.ref,
        request_hash=request.request_hash,
        receipt_hash=request.receipt_hash,
        jti=jti,
        polls=request.polls,
    )
    record(event, by=request.agent.identifier, facts=facts_of(request, decision="allow"))
    answer = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": claims["exp"] - now_s,
        "scope": statement.scope,
    }
    if "authorization_details" in claims:
        answer["authorization_details"] = claims["authorization_details"]
    if identity := approved.id_token(statement, decided, txn=request.txn, now_s=now_s):
        answer["id_token"] = signing.current(KeyPurpose.ID_TOKEN).sign(identity, "JWT")
    return answer


def _approved(request: ApprovalRequest) -> approved.Approved:
    assert request.decided_at is not None and request.approved_until_at is not None
    return approved.Approved(
        request_id=request.ref,
        approved_at=int(request.decided_at.timestamp()),
        approved_until=int(request.approved_until_at.timestamp()),
        receipt_hash=request.receipt_hash,
        receipt_uri=f"{settings.ISSUER}/receipts/{request.receipt_ref}",
        required=request.required,
        count=len(request.decided_by),
        subject_signed=request.subject_signed,
    )


def _sub(request: ApprovalRequest, statement: Statement, *, now: datetime) -> str:
    """Return the person if they signed or a grant from them covers all of it; else the agent acts for itself."""
    if request.subject_signed is not None:
        return statement.sub
    grants = queries.grants_covering(
        agent=request.agent,
        person=request.subject,
        resource=request.resource,
        actions={kept["action"] for kept in request.facts},
        types={kept["detail_type"] for kept in request.facts},
        now=now,
    )
    is_theirs = any(grant.from_person_id == request.subject_id for grant in grants)
    return statement.sub if is_theirs else statement.client_id


def _store(request: ApprovalRequest, claims: dict[str, Any], token: str, *, now: datetime) -> None:
    AccessToken.objects.create(
        token=digest(token),
        jti=claims["jti"],
        application=Application.objects.filter(agent=request.agent).first(),
        agent=request.agent,
        subject_ref=claims["sub"],
        txn=request.txn,
        audience=claims["aud"],
        authorization_details=claims.get("authorization_details"),
        request=request,
        scope=claims["scope"],
        issued_at=now,
        expires=datetime.fromtimestamp(claims["exp"], UTC),
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
