"""The demo's sample people, agents, resources and grants, as a configuration for ``manage.py apply``. Pure.

JSON is YAML, so the text that this makes is a configuration file like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

TRUST_DOMAIN = "acme.example"
COURIER, FOREMAN, MASON, KEEPER, MAGPIE = (
    f"spiffe://{TRUST_DOMAIN}/agent/{name}" for name in ("courier", "foreman", "mason", "keeper", "magpie")
)
AGENTS = ("courier", "foreman", "mason", "keeper", "magpie")
PLACES = ("payments", "invoices", "mason_desk", "keeper_desk", "repository")
ADA = "ada@acme.example"
GRANT_LIFETIME = timedelta(days=30)
MERGE, CHANGE, REPORT = "repository.merge", "repository_change", "report.events"
BEARER = """
@id("bearer-only-where-mcp-needs-it")
@says("A token that is bound to no key is good only at the invoices' MCP server: MCP clients know no other.")
forbid (principal, action == Action::"use", resource)
when {{ context.binding == "none" && resource != Resource::"{invoices}" }};
"""


def configuration(*, resource: str, policy: str, jwks: Mapping[str, Any], now: datetime) -> bytes:
    """Return the configuration file of Courier's story alone. jwks: public JWK Sets of courier, magpie, payments."""
    return json.dumps(_settling(resource, policy, jwks, now)).encode()


def whole_configuration(
    *, places: Mapping[str, str], console: str, policy: str, jwks: Mapping[str, Any], now: datetime
) -> bytes:
    """Return the configuration file of the demo: with the invoices' MCP server, and the chain of three agents.

    places: resource indicators, by the names in ``PLACES``; console: that of the console's own API. jwks: public JWK Sets,
    by those and by the names in ``AGENTS``.
    """
    added = policy + BEARER.format(invoices=places["invoices"])
    whole = _settling(places["payments"], added, jwks, now)
    whole["resources"] += _others(places, jwks)
    whole["agents"] += _crew(jwks)
    # MCP clients on this machine may register themselves; nobody else sees the demo.
    whole["trust_rules"] = [
        {"kind": "redirect_host", "value": host, "owner": ADA} for host in ("127.0.0.1", "localhost")
    ]
    whole["grants"] += [
        _grant(FOREMAN, places["mason_desk"], [MERGE], [CHANGE], "Get approved changes merged", now) | {"depth": 2},
        _grant(MASON, places["keeper_desk"], [MERGE], [CHANGE], "Hand on what was built", now),
        _grant(KEEPER, places["repository"], [MERGE], [CHANGE], "Merge what was built", now),
        *(
            _grant(agent, console, [REPORT], [], "Report what was done", now)
            for agent in (COURIER, FOREMAN, MASON, KEEPER)
        ),
    ]
    return json.dumps(whole).encode()


def _settling(resource: str, policy: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    actions, types = ["accounts.read", "payments.initiate"], ["payment_initiation"]
    return {
        "trust_domains": [{"name": TRUST_DOMAIN}],
        "people": _people(),
        "groups": [{"slug": "finance", "name": "Finance", "members": [ADA, "ben@acme.example"]}],
        "resources": [_payments(resource, jwks["payments"])],
        "agents": [_courier(jwks["courier"]), _magpie(jwks["magpie"])],
        "grants": [_grant(COURIER, resource, actions, types, "Settle November invoices", now)],
        "policies": [{"name": "default", "text": policy}],
    }


def _people() -> list[dict[str, Any]]:
    return [
        {"email": ADA, "name": "Ada Lindqvist", "roles": ["approver", "owner", "admin", "auditor"]},
        {"email": "ben@acme.example", "name": "Ben Okafor", "roles": ["auditor"]},
        {"email": "cy@acme.example", "name": "Cy Moreau", "roles": ["approver"]},
    ]


def _payments(identifier: str, jwks: dict[str, Any]) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "name": "Payments API",
        "kind": "api",
        "description": "Accounts and payments of the operations team.",
        "actions": [
            {"name": "accounts.read", "title": "Read balances", "reversibility": "read-only"},
            {
                "name": "payments.initiate",
                "title": "Pay somebody",
                "reversibility": "irreversible",
                "detail_type": "payment_initiation",
            },
        ],
        "jwks": jwks,
    }


def _others(places: Mapping[str, str], jwks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the invoices' MCP server, the desks of Mason and Keeper, and the repository at the end of their chain."""
    # The same action at each of them: that is how one sees who could merge, through whom.
    merging = {"name": MERGE, "title": "Merge a change", "reversibility": "reversible", "detail_type": CHANGE}
    reading = {"name": "invoices.read", "title": "List open invoices", "reversibility": "read-only"}
    paying = {"name": "invoices.pay", "title": "Pay an open invoice", "reversibility": "irreversible"}
    told: dict[str, dict[str, Any]] = {
        "invoices": {"name": "Invoices (MCP)", "kind": "mcp", "actions": [reading, paying]},
        "mason_desk": {"name": "Mason's desk", "operator": MASON, "actions": [merging]},
        "keeper_desk": {
            "name": "Keeper's desk",
            "operator": KEEPER,
            "actions": [merging],
        },
        "repository": {"name": "Repository", "actions": [merging]},
    }
    return [{"identifier": places[name], "jwks": jwks[name], **resource} for name, resource in told.items()]


def _courier(jwks: dict[str, Any]) -> dict[str, Any]:
    return {
        "identifier": COURIER,
        "name": "Courier",
        "purpose": "Settles the invoices of the operations team.",
        "contact": "operations@acme.example",
        "owner": ADA,
        "jwks": jwks,
        "dpop_bound_access_tokens": True,
    }


def _crew(jwks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the three agents of the chain: each calls the next, and none of them has more than its own part of it."""
    purposes = {
        FOREMAN: "Takes changes to our repositories from people, and has them made.",
        MASON: "Builds changes and runs their tests.",
        KEEPER: "Merges what was built. The only one that may write to the repository.",
    }
    return [
        {
            "identifier": identifier,
            "name": name.capitalize(),
            "purpose": purpose,
            "contact": "engineering@acme.example",
            "owner": ADA,
            "jwks": jwks[name],
            "dpop_bound_access_tokens": True,
        }
        for identifier, purpose in purposes.items()
        for name in [identifier.rsplit("/", 1)[1]]
    ]


def _magpie(jwks: dict[str, Any]) -> dict[str, Any]:
    return {
        "identifier": MAGPIE,
        "name": "Magpie",
        "purpose": "Collected quotes until it asked for more than it needed.",
        "contact": "operations@acme.example",
        "owner": ADA,
        "state": "suspended",
        "reason": "asked for actions outside its task",
        "jwks": jwks,
    }


def _grant(
    agent: str, resource: str, actions: list[str], detail_types: list[str], mission: str, now: datetime
) -> dict[str, Any]:
    return {
        "from_person": ADA,
        "agent": agent,
        "resource": resource,
        "actions": actions,
        "detail_types": detail_types,
        "mission": mission,
        "until": (now + GRANT_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
