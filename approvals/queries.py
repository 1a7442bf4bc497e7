"""Questions of the inbox: how a request stands for one reader, and who may read a receipt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aims.authorization.models import ApprovalRequest
from aims.authorization.queries import may_decide, request_for
from aims.authorization.states import OPEN, RequestState
from aims.people.models import Passkey, User
from aims.people.queries import passkeys_for_approval
from approvals.models import Decision, Receipt
from audit.read import index_of


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one request stands for one reader, now.

    state: as shown, so ``expired`` as soon as the time is over. mine: the reader's own decision. last: the newest of
    anybody's. passkeys: with which the reader may sign; empty where the reader may not decide. is_settling: one more
    may as soon as the log has its enrolment, in a moment.
    """

    state: str
    mine: Decision | None
    last: Decision | None
    yeses: int
    may_decide: bool
    passkeys: tuple[Passkey, ...]
    is_settling: bool


def standing_of(request: ApprovalRequest, person: User, *, now: datetime) -> Standing:
    """Return how the request stands for this person."""
    decisions = list(request.decisions.select_related("person").order_by("decided_at"))
    mine = next((decision for decision in decisions if decision.person_id == person.pk), None)
    state = state_at(request, now)
    is_mine_to_decide = RequestState(state) in OPEN and mine is None and may_decide(person, request)
    held = passkeys_for_approval(person, opened_at=request.opened_at, now=now) if is_mine_to_decide else []
    keys = in_the_log(held)
    return Standing(
        state=state,
        mine=mine,
        last=decisions[-1] if decisions else None,
        yeses=sum(decision.decision == "approve" for decision in decisions),
        may_decide=is_mine_to_decide,
        passkeys=tuple(keys),
        is_settling=len(keys) < len(held),
    )


def signing_keys(request: ApprovalRequest, person: User, *, now: datetime) -> list[Passkey]:
    """Return the keys with which this person may sign a decision on this request now."""
    return in_the_log(passkeys_for_approval(person, opened_at=request.opened_at, now=now))


def in_the_log(passkeys: Iterable[Passkey]) -> list[Passkey]:
    """Return those whose enrolment the log has numbered: a receipt says where, and must not be without it."""
    return [passkey for passkey in passkeys if index_of(passkey.enrolment_event) is not None]


def state_at(request: ApprovalRequest, now: datetime) -> str:
    """Return the state as people should see it: nobody has to wait for the sweep to learn that time is over."""
    is_over = RequestState(request.state) in OPEN and request.expires_at <= now
    return RequestState.EXPIRED.value if is_over else str(request.state)


def receipt_for(person: User, ref: str) -> Receipt | None:
    """Return the receipt if this person may read its request."""
    receipt = Receipt.objects.select_related("request").filter(ref=ref).first()
    return receipt if receipt is not None and request_for(person, receipt.request.ref) is not None else None


def receipts_of(requests: Collection[str]) -> Mapping[str, str]:
    """Return the signed receipts of these requests, by request, as they were issued."""
    return dict(Receipt.objects.filter(request__ref__in=requests).values_list("request__ref", "jws"))
