"""The demo's MCP server: a tool that reads, and one that pays, for which a person must say yes each time.

Any MCP client may come: it finds the authorization server by RFC 9728, and asks there for the scopes that a challenge
names. MCP clients know scopes and bearer tokens only, so the payment is an approved scope, used once, and the policy must
let this resource take bearer tokens. Transport: Streamable HTTP, one JSON answer to each POST.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aims.demo import mcp_wire as wire
from aims.demo.client import Client
from aims.demo.face import GuardedFace, about_of, guard_of, serve
from aims.demo.keys import load_or_make
from aims.resource_server.errors import Refused
from aims.resource_server.guard import Call, Guard

NAME = "Invoices"
READ, PAY = "invoices.read", "invoices.pay"
OPEN = (
    {"number": "2026-1187", "creditor": "Nordwind GmbH", "amount": "4200.00", "currency": "EUR", "due": "2026-12-05"},
    {"number": "2026-1190", "creditor": "Papier Meier", "amount": "86.40", "currency": "EUR", "due": "2026-12-11"},
)
_NONE: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_NUMBER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string", "description": "The number of an open invoice."}},
    "required": ["number"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Invoices:
    """Open invoices. ``ledger``: a SQLite file that remembers what was paid under which approval."""

    guard: Guard
    ledger: Path

    def __post_init__(self) -> None:
        with closing(sqlite3.connect(self.ledger)) as book, book:
            book.execute("CREATE TABLE IF NOT EXISTS settled (number TEXT PRIMARY KEY, approval TEXT NOT NULL)")

    def about(self) -> dict[str, Any]:
        """Return what this server says of itself. Spec: RFC 9728 §2."""
        return about_of(self.guard, NAME, scopes=[READ, PAY])

    def tools(self, call: Call) -> list[wire.Tool]:
        """Return the tools for whoever calls; what a tool needs beyond reading it asks of this call."""
        return [
            wire.Tool(
                name="list_invoices",
                title="List open invoices",
                description="Returns the invoices that are not paid yet.",
                schema=_NONE,
                is_read_only=True,
                act=lambda arguments: {"invoices": self.unpaid()},
            ),
            wire.Tool(
                name="pay_invoice",
                title="Pay an invoice",
                description="Pays one open invoice. A person must approve it, each time.",
                schema=_NUMBER,
                is_read_only=False,
                act=lambda arguments: self.pay(call, arguments["number"]),
            ),
        ]

    def unpaid(self) -> list[Mapping[str, str]]:
        with closing(sqlite3.connect(self.ledger)) as book:
            settled = {row[0] for row in book.execute("SELECT number FROM settled")}
        return [invoice for invoice in OPEN if invoice["number"] not in settled]

    def pay(self, call: Call, number: str) -> dict[str, Any]:
        """Pay once under one approval. What can't be paid anyway uses none up."""
        self.guard.require_scope(call, READ, PAY)
        invoice = next((invoice for invoice in self.unpaid() if invoice["number"] == number), None)
        if invoice is None:
            raise wire.ToolFailed("There is no open invoice of this number.")
        approval = self.guard.use_approved_scope(call, READ, PAY, now=time.time())
        # A crash here leaves an approval that is used and an invoice that is open: the agent must ask again.
        with closing(sqlite3.connect(self.ledger)) as book, book:
            done = book.execute("INSERT INTO settled VALUES (?, ?) ON CONFLICT DO NOTHING", (number, approval))
        if done.rowcount != 1:
            raise wire.ToolFailed("Somebody else has just paid this invoice.")
        return {"status": "paid", "approval": approval, **invoice}


class Face(GuardedFace):
    """Streamable HTTP in front of ``Invoices``: POST, and the metadata. It opens no streams and keeps no sessions."""

    invoices: Invoices

    def do_GET(self) -> None:
        if not self.is_about():
            self._not_here()

    def do_DELETE(self) -> None:
        self._not_here()

    def do_POST(self) -> None:
        raw = self.body()
        if raw is None:
            return
        if self.path != urlsplit(self.guard.identifier).path:
            return self.answer(404, {"error": "not_found"})
        # MCP transports, Security Warning: a page of another origin must not speak to a server on this machine.
        if self.headers.get("Origin"):
            return self.answer(403, {"error": "origin"})
        request, number = self.request_here(), _id_in(raw)
        try:
            call = self.guard.admit(request, now=time.time())
            self.guard.require_scope(call, READ)
            headers = {name.lower(): self.headers.get_all(name, []) for name in self.headers}
            told = wire.answer(wire.read(raw, headers), name=NAME, tools=self.invoices.tools(call))
            self.answer(202 if told is None else 200, told)
        except wire.Wrong as wrong:
            self.answer(wrong.status, wrong.body())
        except Refused as refused:
            body = wire.Wrong(wire.UNAUTHORIZED, refused.description, id=number).body()
            self.answer(refused.status, body, self.guard.headers_of(refused, request))

    def _not_here(self) -> None:
        is_mcp = self.path == urlsplit(self.guard.identifier).path
        self.answer(405 if is_mcp else 404, {"error": "not_found"}, {"Allow": "POST"} if is_mcp else {})


def _id_in(raw: bytes) -> wire.Id:
    """Return the id that a refusal answers, before anybody has judged the message; None where there is none."""
    try:
        number = json.loads(raw)["id"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    return number if isinstance(number, str | int) and not isinstance(number, bool) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--identifier", required=True, help="this server's resource indicator: its MCP endpoint")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    client = Client(options.issuer, options.identifier, load_or_make(options.key))
    invoices = Invoices(
        guard_of(client, ledger=options.ledger, takes_bearer=True, first_scopes=(READ,)), options.ledger
    )
    Face.invoices, Face.guard, Face.about = invoices, invoices.guard, invoices.about()
    serve(Face, options.port)


if __name__ == "__main__":
    main()
