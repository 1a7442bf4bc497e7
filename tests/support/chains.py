"""A chain of agents, each of which runs a resource, and what they say at the token endpoint."""

from __future__ import annotations

import json
from typing import Any

from aims.kit.ids import unb64url
from audit.models import InboxRow
from tests.protocol.token_exchange.test_exchange import ACCESS, TYPE, Chain, Link, grant, link
from tests.support.oauth_client import stage

__all__ = ["ACCESS", "JAG", "JWT", "TXN", "TYPE", "Chain", "Link", "claims", "entries", "error", "grant", "link", "make_chain", "to_txn"]  # fmt: skip

TXN, JWT, JAG = TYPE + "txn_token", TYPE + "jwt", TYPE + "id-jag"
DOMAIN = "acme.example"


def make_chain(names: str = "bcd") -> Chain:
    """Courier may call b; b may call c, and so on; each runs its own resource."""
    on = stage()
    links = [link(on, name) for name in names]
    before = on.agent
    for each in links:
        grant(on, before, each.resource)
        before = each.agent
    return Chain(on, links)


def to_txn(who: Link, token: str, **form: Any) -> Any:
    """Exchange something for a transaction token."""
    return who.exchange(token, **({"audience": DOMAIN, "scope": "accounts.read", "requested_token_type": TXN} | form))


def claims(answer: Any) -> dict[str, Any]:
    """Return the claims of what was issued."""
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = json.loads(unb64url(answer.json()["access_token"].split(".")[1]))
    return body


def error(answer: Any, status: int = 400) -> str:
    """Return the error code of a refusal."""
    assert answer.status_code == status, answer.content
    return str(answer.json()["error"])


def entries(kind: str) -> list[dict[str, Any]]:
    """Return the log's entries of a kind."""
    found = [json.loads(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry for entry in found if entry["type"] == kind]
