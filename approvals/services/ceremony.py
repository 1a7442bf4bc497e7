"""Turns the browser's answer into a verified decision, strictly, and outside any transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from aims.authorization.models import ApprovalRequest
from aims.authorization.queries import may_decide
from aims.authorization.request_errors import AlreadyDecided, NotYours, RequestOver
from aims.authorization.states import OPEN, RequestState
from aims.kit.ids import tagged_hash
from aims.people.models import Passkey, User
from aims.people.queries import stored_keys
from aims.people.webauthn import Assertion, WebAuthnRefused, claimed, verify_assertion
from approvals import context, errors
from approvals.models import Decision, PreparedContext
from approvals.queries import signing_keys


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A decision that was signed and verified: which context, with which key, and the bytes."""

    prepared: PreparedContext
    passkey: Passkey
    assertion: Assertion


def verified(
    request: ApprovalRequest, person: User, session_key: str, response: bytes, attempted: str, now: datetime
) -> Signed:
    """Return what was signed, every check passed. Only here is an assertion turned into a decision."""
    try:
        says = claimed(response)
    except WebAuthnRefused as refusal:
        raise errors.ResponseUnreadable(detail=refusal.code) from refusal
    check_open(request, person, now)
    prepared = _prepared(request, person, session_key, says.challenge, attempted, now)
    passkeys = signing_keys(request, person, now=now)
    passkey = next((key for key in passkeys if bytes(key.credential_id) == says.credential_id), None)
    if passkey is None:
        raise _why_not(request, person, says.credential_id, now)
    try:
        assertion = verify_assertion(
            response,
            challenge=bytes(prepared.challenge),
            rp_id=settings.RP_ID,
            origins=settings.RP_ORIGINS,
            keys=stored_keys(passkeys),
            user_handle=person.ref.encode(),
        )
    except WebAuthnRefused as refusal:
        raise errors.AssertionRefused(refusal.code, refusal.detail) from refusal
    return Signed(prepared=prepared, passkey=passkey, assertion=assertion)


def check_open(request: ApprovalRequest, person: User, now: datetime) -> None:
    """Raise unless this person may still decide this request."""
    if not may_decide(person, request):
        raise NotYours
    if Decision.objects.filter(request=request, person=person).exists():
        raise errors.AlreadyYours
    check_waits(RequestState(request.state))
    if request.expires_at <= now:
        raise RequestOver


def check_waits(state: RequestState) -> None:
    """Raise unless a request in this state waits for decisions; one that the sweep has ended says so."""
    if state == RequestState.EXPIRED:
        raise RequestOver
    if state not in OPEN:
        raise AlreadyDecided(detail=state)


def _prepared(
    request: ApprovalRequest, person: User, session_key: str, challenge: bytes, attempted: str, now: datetime
) -> PreparedContext:
    # The binding is part of the look-up, so that nobody can burn, or even probe, somebody else's context.
    prepared = PreparedContext.objects.filter(
        challenge=challenge, request=request, person=person, session_key=session_key
    ).first()
    if prepared is None:
        raise errors.ContextUnknown
    if prepared.expires_at <= now:
        raise errors.ContextExpired
    said = context.parse(bytes(prepared.context))
    if said.decision != attempted:
        raise errors.WrongDecision
    # What was prepared must be what is stored now: the statement's bytes, hashed again.
    if said.request_hash != tagged_hash(bytes(request.statement)):
        raise errors.ContextUnknown(detail="the statement is not the one that was shown")
    return prepared


def _why_not(request: ApprovalRequest, person: User, credential_id: bytes, now: datetime) -> errors.DecisionRefused:
    passkey = Passkey.objects.filter(person=person, credential_id=credential_id).first()
    if passkey is None:
        return errors.PasskeyUnknown()
    if passkey.ended_at is not None:
        return errors.PasskeyEnded()
    if passkey.usable_from_at > now:
        return errors.PasskeyCoolingDown(passkey.usable_from_at)
    if passkey.enrolled_at > request.opened_at:
        return errors.PasskeyTooNew()
    return errors.EnrolmentNotLogged()
