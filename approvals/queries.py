"""Questions of the inbox: how a request stands for one reader, and who may read a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aims.authorization.models import ApprovalRequest
from aims.authorization.queries import may_decide, request_for
from aims.authorization.states import OPEN, RequestState
from aims.people.models import Passkey, User
from aims.people.queries import passkeys_for_approval
from approvals.models import Decision, Receipt


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one request stands for one reader, now.

    state: as shown, so ``expired`` as soon as the time is over. mine: the reader's own decision. last: the newest of
    anybody's. passkeys: with which the reader may approve; empty where the reader may not decide.
    """

    state: str
    mine: Decision | None
    last: Decision | None
    yeses: int
    may_decide: bool
    passkeys: tuple[Passkey, ...]


def standing_of(request: ApprovalRequest, person: User, *, now: datetime) -> Standing:
    """Return how the request stands for this person."""
    decisions = list(request.decisions.select_related("person").order_by("decided_at"))
    mine = next((decision for decision in decisions if decision.person_id == person.pk), None)
    state = state_at(request, now)
    is_mine_to_decide = RequestState(state) in OPEN and mine is None and may_decide(person, request)
    keys = passkeys_for_approval(person, opened_at=request.opened_at, now=now) if is_mine_to_decide else []
    return Standing(
        state=state,
        mine=mine,
        last=decisions[-1] if decisions else None,
        yeses=sum(decision.decision == "approve" for decision in decisions),
        may_decide=is_mine_to_decide,
        passkeys=tuple(keys),
    )


def state_at(request: ApprovalRequest, now: datetime) -> str:
    """Return the state as people should see it: nobody has to wait for the sweep to learn that time is over."""
    is_over = RequestState(request.state) in OPEN and request.expires_at <= now
    return RequestState.EXPIRED.value if is_over else str(request.state)


def receipt_for(person: User, ref: str) -> Receipt | None:
    """Return the receipt if this person may read its request."""
    receipt = Receipt.objects.select_related("request").filter(ref=ref).first()
    return receipt if receipt is not None and request_for(person, receipt.request.ref) is not None else None
