"""Takes decisions. No path here decides yes without a verified assertion.

The order is always the same: find the context, verify outside any transaction, sign the receipt, then write
everything at once. A refusal changes nothing and is recorded on its own, after the failed attempt has ended.
"""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from aims.authorization.models import ApprovalRequest
from aims.authorization.request_errors import AlreadyDecided, PolicyChanged
from aims.authorization.services import requests
from aims.authorization.states import RequestState
from aims.kit.errors import AimsError
from aims.kit.ids import tagged_hash
from aims.people.models import Passkey, User
from approvals import errors, events
from approvals.models import Decision, PreparedContext, Receipt
from approvals.services.ceremony import Signed, check_open, check_waits, verified
from approvals.services.evidence import evidence_of, is_synced, receipt_of
from audit.write import record

RACES_MAX = 5


class _Raced(Exception):
    """Somebody else decided between our look and our lock: look again."""


def approve(request: ApprovalRequest, *, person: User, session_key: str, response: bytes, now: datetime) -> Decision:
    """Take a signed yes. With the last signature that is needed, the receipt is issued and the request approved.

    response: the browser's ``PublicKeyCredential.toJSON()``. Raises DecisionRefused, or what authorization refuses.
    """
    with _recorded(request, person, attempted="approve"):
        signed = verified(request, person, session_key, response, attempted="approve", now=now)
        return _with_retries(request, person, signed, now)


def deny(
    request: ApprovalRequest, *, person: User, session_key: str, response: bytes | None, now: datetime
) -> Decision:
    """Take a no: with one tap (``response`` None), or signed. Raises DecisionRefused, or what authorization refuses."""
    with _recorded(request, person, attempted="deny"):
        if response is not None:
            return _deny(request, person, verified(request, person, session_key, response, "deny", now), now)
        check_open(request, person, now)
        return _deny(request, person, None, now)


class _recorded:
    """Records a refusal in a transaction of its own, after the failed one has ended, and lets it pass on."""

    def __init__(self, request: ApprovalRequest, person: User, *, attempted: str) -> None:
        self.request, self.person, self.attempted = request, person, attempted

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, refusal: BaseException | None, trace: object) -> None:
        if not isinstance(refusal, AimsError):
            return
        reason = refusal.reason if isinstance(refusal, errors.AssertionRefused) else refusal.code
        event = events.DecisionRefused(
            request=self.request.ref,
            request_hash=self.request.request_hash,
            attempted=self.attempted,
            reason=reason,
        )
        with transaction.atomic():
            record(event, by=self.person.ref, facts=requests.facts_of(self.request, decision="not_applicable"))


def _with_retries(request: ApprovalRequest, person: User, signed: Signed, now: datetime) -> Decision:
    for _attempt in range(RACES_MAX):
        try:
            return _approve(request, person, signed, now)
        except _Raced:
            continue
        except PolicyChanged:
            # Our transaction has ended and changed nothing; now the request itself ends, in one of its own.
            requests.reconsider(request, now=now)
            raise
    raise AlreadyDecided(detail="lost every race")


def _approve(request: ApprovalRequest, person: User, signed: Signed, now: datetime) -> Decision:
    earlier = list(Decision.objects.filter(request=request, decision="approve").select_related("passkey", "person"))
    decision = _decision(request, person, "approve", signed, now)
    count = len(earlier) + 1
    # Signed before the transaction: nothing slow inside it. A receipt that loses a race is thrown away.
    receipt = receipt_of(request, [*earlier, decision], now) if count >= request.required else None
    with transaction.atomic():
        state = _lock(request, person, yeses=len(earlier))
        _consume(signed)
        _insert(decision)
        _touch(signed, now)
        # The log tells it in this order: somebody signed, and so the request was approved.
        record(
            _approved_event(decision, count, receipt),
            by=person.ref,
            facts=requests.facts_of(request, decision="approve"),
        )
        if receipt is None:
            _count_in(request, state)
        else:
            receipt.save(force_insert=True)
            requests.approve(
                request,
                evidence=evidence_of([*earlier, decision], request, now),
                receipt=requests.ReceiptRef(ref=receipt.ref, hash=receipt.hash),
                now=now,
            )
    return decision


def _deny(request: ApprovalRequest, person: User, signed: Signed | None, now: datetime) -> Decision:
    decision = _decision(request, person, "deny", signed, now)
    with transaction.atomic():
        _lock(request, person, yeses=None)
        if signed is not None:
            _consume(signed)
            _touch(signed, now)
        _insert(decision)
        record(_denied_event(decision), by=person.ref, facts=requests.facts_of(request, decision="deny"))
        requests.deny(request, person=person, is_signed=decision.is_signed, now=now)
    return decision


def _lock(request: ApprovalRequest, person: User, *, yeses: int | None) -> RequestState:
    """Hold the request until commit, so that its decisions are counted one after another; return its state.

    With the agent's row before it and the person's after it, as everywhere: who withdraws, redeems or ends a key takes
    the same locks in the same order.
    """
    state = RequestState(requests.locked(request).state)
    check_waits(state)
    requests.hold(person.ref)
    if yeses is not None and yeses != Decision.objects.filter(request=request, decision="approve").count():
        raise _Raced
    return state


def _consume(signed: Signed) -> None:
    # Used once means used once: the delete is the check. A crash before commit leaves the context unspent.
    gone, _by_model = PreparedContext.objects.filter(
        pk=signed.prepared.pk, challenge=bytes(signed.prepared.challenge)
    ).delete()
    if gone != 1:
        raise errors.ContextUnknown(detail="spent by another attempt")


def _insert(decision: Decision) -> None:
    try:
        with transaction.atomic():
            decision.save(force_insert=True)
    except IntegrityError as error:
        raise errors.AlreadyYours from error


def _touch(signed: Signed, now: datetime) -> None:
    """Count the key's use. Another of its assertions may have been stored since ours was verified."""
    said = signed.assertion
    mine = Passkey.objects.filter(pk=signed.passkey.pk, ended_at=None)
    grown = mine.filter(sign_count__lt=said.sign_count) if said.sign_count else mine.filter(sign_count=0)
    if grown.update(sign_count=said.sign_count, is_backed_up=said.is_backed_up, last_used_at=now):
        return
    if mine.exists():
        raise errors.AssertionRefused("clone_suspected", f"count {said.sign_count} after a later one")
    raise errors.PasskeyEnded


def _count_in(request: ApprovalRequest, state: RequestState) -> None:
    if state is RequestState.PENDING:
        requests.move(request, to=RequestState.PARTLY_APPROVED)


def _decision(request: ApprovalRequest, person: User, decision: str, signed: Signed | None, now: datetime) -> Decision:
    if signed is None:
        return Decision(request=request, person=person, decision=decision, is_signed=False, context=b"", decided_at=now)
    return Decision(
        request=request,
        person=person,
        decision=decision,
        is_signed=True,
        passkey=signed.passkey,
        context=bytes(signed.prepared.context),
        authenticator_data=signed.assertion.authenticator_data,
        client_data_json=signed.assertion.client_data_json,
        signature=signed.assertion.signature,
        decided_at=now,
    )


def _approved_event(decision: Decision, count: int, receipt: Receipt | None) -> events.DecisionApproved:
    assert decision.passkey is not None
    return events.DecisionApproved(
        request=decision.request.ref,
        request_hash=decision.request.request_hash,
        context_hash=tagged_hash(bytes(decision.context)),
        passkey=decision.passkey.ref,
        is_synced=is_synced(decision),
        count=count,
        required=decision.request.required,
        receipt=receipt.ref if receipt else None,
        receipt_hash=receipt.hash if receipt else None,
    )


def _denied_event(decision: Decision) -> events.DecisionDenied:
    return events.DecisionDenied(
        request=decision.request.ref,
        request_hash=decision.request.request_hash,
        is_signed=decision.is_signed,
        context_hash=tagged_hash(bytes(decision.context)) if decision.is_signed else None,
        passkey=decision.passkey.ref if decision.passkey else None,
    )
