"""The end of the demo's chain: a repository that merges what a token allows, while the issuer stands by that token.

A merge can be undone, so no person needs to approve it here; but somebody gave the authority for it, and may take it back
at any moment. So the issuer is asked about every single call (``require_active``), and a revocation counts at once.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aims.demo.client import Client
from aims.demo.face import UNREAD, GuardedFace, OtherTransaction, about_of, guard_of, serve, transaction_of
from aims.demo.foreman import short
from aims.demo.keys import load_or_make
from aims.demo.reporting import TRACE_HEADER, Reporter, Telling, Trace, hash_of, trace_from
from aims.demo.world import MERGE
from aims.resource_server import txn_token
from aims.resource_server.errors import Refused
from aims.resource_server.guard import Call, Guard, Request

KIND = "repository_change"


@dataclass(frozen=True)
class Repository:
    """The API behind the HTTP face. ``ledger``: a SQLite file of what was merged."""

    guard: Guard
    ledger: Path
    trust_domain: str
    reporter: Telling

    def __post_init__(self) -> None:
        with closing(sqlite3.connect(self.ledger)) as book, book:
            book.execute("CREATE TABLE IF NOT EXISTS merged (source TEXT PRIMARY KEY, txn TEXT NOT NULL)")

    def about(self) -> dict[str, Any]:
        """Return what this API says of itself. Spec: RFC 9728 §2."""
        return about_of(self.guard, "Repository", detail_types=[KIND])

    def merge(
        self, request: Request, transactions: Sequence[str], change: Mapping[str, Any], trace: Trace
    ) -> dict[str, Any]:
        """Merge, or keep merged, what the token names. change: an ``authorization_details`` object of our type.

        transactions: of every header ``Txn-Token``; it must be of the same call, and for the same branch.
        """
        call = self.guard.admit(request, now=time.time())
        self.guard.require_detail(call, change)
        found = transaction_of(call, transactions, guard=self.guard, trust_domain=self.trust_domain)
        if found.claims.get("tctx", {}).get("branch") != change["branch"]:
            raise OtherTransaction
        try:
            self.guard.require_active(call)
        except Refused:
            self._tell(call, "action.refused", "refused", change, trace)
            raise
        txn = found.txn
        with closing(sqlite3.connect(self.ledger)) as book, book:
            done = book.execute("INSERT INTO merged VALUES (?, ?) ON CONFLICT DO NOTHING", (change["source"], txn))
        if done.rowcount == 1:  # once: keeping it merged changes nothing
            self._tell(call, "action.executed", "success", change, trace)
            print(
                f"repository: merged, for {call.subject}, by {' for '.join(map(short, actors(call.claims)))}.",
                flush=True,
            )
        return {"status": "merged", "for": call.subject, "by": actors(call.claims), "txn": txn}

    def _tell(self, call: Call, kind: str, outcome: str, change: Mapping[str, Any], trace: Trace) -> None:
        said = {"outcome": outcome, "agent": call.agent, "action": MERGE, "details_hash": hash_of(dict(change))}
        self.reporter.tell(call.claims, kind, trace=trace, **said)


def actors(claims: Mapping[str, Any]) -> list[str]:
    """Return who acts, then for whom in turn: the agents of ``act``, outermost first. Spec: RFC 8693 §4.1."""
    return list(_actors(claims.get("act"))) or [str(claims["client_id"])]


def _actors(act: object) -> Iterator[str]:
    while isinstance(act, dict) and isinstance(act.get("sub"), str):
        yield act["sub"]
        act = act.get("act")


class Face(GuardedFace):
    """HTTP in front of ``Repository``: POST /changes, and the metadata."""

    repository: Repository

    def do_GET(self) -> None:
        if not self.is_about():
            self.answer(404, {"error": "not_found"})

    def do_POST(self) -> None:
        if self.path != "/changes":
            return self.answer(404, {"error": "not_found"}, UNREAD)
        change = self.json_object()
        if change is not None:
            sent = self.headers.get_all(txn_token.HEADER, [])
            trace = trace_from(self.headers.get(TRACE_HEADER))
            self.guarded(lambda request: self.repository.merge(request, sent, change, trace))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--identifier", required=True, help="this API's resource indicator")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--trust-domain", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    client = Client(options.issuer, options.identifier, load_or_make(options.key))
    reporter = Reporter(client, is_agent=False)
    repository = Repository(guard_of(client, ledger=options.ledger), options.ledger, options.trust_domain, reporter)
    Face.repository, Face.guard, Face.about = repository, repository.guard, repository.about()
    serve(Face, options.port)


if __name__ == "__main__":
    main()
