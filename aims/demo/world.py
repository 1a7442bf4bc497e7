"""The demo's sample people, agents, resources and grants, as a configuration for ``manage.py apply``. Pure.

JSON is YAML, so the text that this makes is a configuration file like any other.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

TRUST_DOMAIN = "acme.example"
COURIER = f"spiffe://{TRUST_DOMAIN}/agent/courier"
MAGPIE = f"spiffe://{TRUST_DOMAIN}/agent/magpie"
ADA = "ada@acme.example"
GRANT_LIFETIME = timedelta(days=30)


def configuration(*, resource: str, policy: str, jwks: dict[str, dict[str, Any]], now: datetime) -> bytes:
    """Return the configuration file. jwks: public JWK Sets by name: courier, magpie, payments."""
    return json.dumps(
        {
            "trust_domains": [{"name": TRUST_DOMAIN}],
            "people": _people(),
            "groups": [{"slug": "finance", "name": "Finance", "members": [ADA, "ben@acme.example"]}],
            "resources": [_payments(resource, jwks["payments"])],
            "agents": [_courier(jwks["courier"]), _magpie(jwks["magpie"])],
            "grants": [_grant(resource, now)],
            "policies": [{"name": "default", "text": policy}],
        }
    ).encode()


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


def _grant(resource: str, now: datetime) -> dict[str, Any]:
    return {
        "from_person": ADA,
        "agent": COURIER,
        "resource": resource,
        "actions": ["accounts.read", "payments.initiate"],
        "detail_types": ["payment_initiation"],
        "mission": "Settle November invoices",
        "until": (now + GRANT_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
