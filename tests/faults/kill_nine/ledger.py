"""What the database and the log hold afterwards, one line a request. Runs beside the deployment, in its environment."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta

ANSWERED = frozenset({"approved", "redeemed"})


@dataclass(frozen=True)
class Line:
    """One approval request. entries: how many of each type the numbered log holds under its transaction."""

    ref: str
    was: str  # state before the last sweep
    state: str
    yeses: int
    receipts: int
    is_receipt_named: bool
    tokens: int
    entries: dict[str, int]

    def faults(self) -> list[str]:
        """Return what does not hold for this request."""
        said_yes = int(self.yeses > 0)
        is_redeemed = int(self.state == "redeemed")
        checks = {
            "is stuck": self.state not in {"redeemed", "expired"},
            "has two yeses": self.yeses > 1,
            "moved without a yes": self.was in ANSWERED and not said_yes,
            "has a yes and did not move": bool(said_yes) and self.was not in ANSWERED,
            "lacks its receipt": self.receipts != said_yes or (bool(said_yes) and not self.is_receipt_named),
            "was not opened once in the log": self._entries("authorization.request.opened") != 1,
            "was not approved once in the log": self._entries("authorization.request.approved") != said_yes,
            "was not decided once in the log": self._entries("approvals.decision.approved") != said_yes,
            "was not redeemed once in the log": self._entries("authorization.request.redeemed") != is_redeemed,
            "has not as many tokens as redemptions": self.tokens != is_redeemed,
        }
        return [f"{self.ref} {fault}" for fault, holds in checks.items() if holds]

    def _entries(self, kind: str) -> int:
        return self.entries.get(kind, 0)


def tell() -> None:
    """Number what waits in the log, sweep as an hour later would, and print a line for each request, as JSON."""
    from aims.authorization.models import ApprovalRequest
    from aims.authorization.services.requests import expire_due
    from aims.kit import clock
    from audit.sequencer import Sequencer

    was = dict(ApprovalRequest.objects.values_list("ref", "state"))
    with clock.shifted(timedelta(hours=1)):
        while expire_due(now=clock.now()):
            pass
    Sequencer().run_once()
    for request in ApprovalRequest.objects.prefetch_related("decisions", "tokens"):
        print(json.dumps(asdict(_line(request, was[request.ref]))))


def _line(request: "ApprovalRequest", was: str) -> Line:  # type: ignore[name-defined]  # noqa: F821, UP037
    from approvals.models import Receipt
    from audit.read import EVERYTHING, entries_of_txn

    receipts = list(Receipt.objects.filter(request=request))
    named = [(kept.ref, kept.hash) for kept in receipts if kept.hash == _hash(kept.jws)]
    return Line(
        ref=request.ref,
        was=was,
        state=request.state,
        yeses=sum(decision.decision == "approve" for decision in request.decisions.all()),
        receipts=len(receipts),
        is_receipt_named=(request.receipt_ref, request.receipt_hash) in named,
        tokens=len(request.tokens.all()),
        entries=dict(Counter(entry.type for entry in entries_of_txn(request.txn, scope=EVERYTHING))),
    )


def _hash(jws: str) -> str:
    from aims.kit.ids import b64url

    return "sha-256:" + b64url(hashlib.sha256(jws.encode()).digest())
