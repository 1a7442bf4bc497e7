"""The demo's resource server: a payments API that does what a token allows, once, and nothing else.

It trusts only the issuer's published keys. Its checks are those of ``aims.resource_server``, the folder that any API may
copy: for reading a scope, for paying a person's approval of exactly this payment, which the issuer still stands by.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aims.demo.client import Client
from aims.demo.face import UNREAD, GuardedFace, about_of, guard_of, serve
from aims.demo.keys import load_or_make
from aims.demo.reporting import TRACE_HEADER, Reporter, Telling, Trace, hash_of, trace_from
from aims.resource_server.errors import Refused
from aims.resource_server.guard import Call, Guard, Request

READ, PAY, PAID = "accounts.read", "payment_initiation", "payments.initiate"


@dataclass(frozen=True)
class Payments:
    """The API behind the HTTP face. ``ledger``: a SQLite file that remembers what was paid under which approval."""

    guard: Guard
    ledger: Path
    reporter: Telling

    def __post_init__(self) -> None:
        with closing(sqlite3.connect(self.ledger)) as book, book:
            book.execute("CREATE TABLE IF NOT EXISTS paid (approval TEXT PRIMARY KEY, details TEXT, at INTEGER)")

    def about(self) -> dict[str, Any]:
        """Return what this API says of itself. Spec: RFC 9728 §2."""
        return about_of(self.guard, "Payments", scopes=[READ], detail_types=[PAY])

    def balance(self, request: Request, trace: Trace) -> dict[str, Any]:
        call = self.guard.admit(request, now=time.time())
        self.guard.require_scope(call, READ)
        self._tell(call, "action.executed", trace, action=READ)
        return {"account": "DE89 3704 0044 0532 0130 00", "balance": "61204.55", "currency": "EUR"}

    def pay(self, request: Request, order: dict[str, Any], trace: Trace) -> dict[str, Any]:
        """Pay once, exactly as approved. order: an ``authorization_details`` object of type payment_initiation."""
        now = time.time()
        call = self.guard.admit(request, now=now)
        said = {"action": PAID, "details_hash": hash_of(order), "approval": _approval_of(call)}
        try:
            approval = self.guard.use_approval(call, order, now=now)
        except Refused:
            self._tell(call, "action.refused", trace, outcome="refused", **said)
            raise
        # A crash here leaves an approval that is used and a payment that was not made: the agent must ask again.
        with closing(sqlite3.connect(self.ledger)) as book, book:
            book.execute("INSERT INTO paid VALUES (?, ?, ?)", (approval, json.dumps(order), int(now)))
        self._tell(call, "action.executed", trace, outcome="success", **said)
        return {"status": "paid", "approval": approval, "amount": order["instructedAmount"]}

    def _tell(self, call: Call, kind: str, trace: Trace, **said: Any) -> None:
        self.reporter.tell(call.claims, kind, trace=trace, agent=call.agent, **said)


def _approval_of(call: Call) -> str | None:
    approval = call.claims.get("approval")
    return str(approval["id"]) if isinstance(approval, dict) else None


class Face(GuardedFace):
    """HTTP in front of ``Payments``: GET /accounts, POST /payments, and the metadata."""

    payments: Payments

    def do_GET(self) -> None:
        if self.is_about():
            return
        if self.path != "/accounts":
            return self.answer(404, {"error": "not_found"})
        trace = trace_from(self.headers.get(TRACE_HEADER))
        self.guarded(lambda request: self.payments.balance(request, trace))

    def do_POST(self) -> None:
        if self.path != "/payments":
            return self.answer(404, {"error": "not_found"}, UNREAD)
        order = self.json_object()
        if order is not None:
            trace = trace_from(self.headers.get(TRACE_HEADER))
            self.guarded(lambda request: self.payments.pay(request, order, trace))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--identifier", required=True, help="this API's resource indicator")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    client = Client(options.issuer, options.identifier, load_or_make(options.key))
    reporter = Reporter(client, is_agent=False)
    payments = Payments(guard_of(client, ledger=options.ledger), options.ledger, reporter)
    Face.payments, Face.guard, Face.about = payments, payments.guard, payments.about()
    serve(Face, options.port)


if __name__ == "__main__":
    main()
