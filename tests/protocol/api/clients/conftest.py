"""A running server, and an agent on it that may manage: with a token of client credentials, and rows to aim at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from aims.kit.ids import unb64url
from tests.support.running import AimsServer
from tests.support.world import DOMAIN, ciba_form, inhabit, payment

SCOPES = (
    "manage.agents", "manage.feeds", "manage.findings", "manage.grants", "manage.people", "manage.policies", "manage.resources", "read.audit",
    "read.requests",
)  # fmt: skip
WITHIN_S = 30
FEED = {"name": "Aimed", "kind": "syslog", "address": "tls://127.0.0.1:1"}  # refused at once: no inner address is named


@dataclass(frozen=True)
class Steward:
    """The managing agent. rows: for each collection, the key of a row that may be changed."""

    base_url: str
    token: str
    rows: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Call the API; headers win over the token's."""
        headers = self.headers | more.pop("headers", {})
        return requests.request(method, f"{self.base_url}/api/v1/{path}", headers=headers, timeout=WITHIN_S, **more)

    def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.call("POST", path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def steward(aims: AimsServer) -> Steward:
    audience = f"{aims.base_url}/api/v1/"
    world = inhabit(aims, also=_granting(audience))
    client = world.agents[0].client(aims.base_url)
    form = {"grant_type": "client_credentials", "resource": audience, "scope": " ".join(SCOPES)}
    answer = client.call("token_endpoint", form)
    assert answer.status == 200, answer.body
    asked = client.call("backchannel_authentication_endpoint", ciba_form(world.emails[0], payment()))
    assert asked.status == 200, asked.body
    steward = Steward(aims.base_url, answer.body["access_token"], {})
    _fill(steward)
    return steward


def _granting(audience: str) -> Callable[[dict[str, Any]], None]:
    """Return what grants the managing scopes to the first agent."""

    def also(configuration: dict[str, Any]) -> None:
        [first, *_] = configuration["grants"]
        configuration["grants"].append(
            {"agent": first["agent"], "resource": audience, "actions": list(SCOPES), "until": first["until"]}
        )

    return also


def _registered(steward: Steward) -> str:
    """Let a client register itself; return the key of what waits for an admin."""
    metadata = {
        "client_name": "Aimed",
        "redirect_uris": ["https://aimed.example/cb"],
        "token_endpoint_auth_method": "none",
    }
    answer = requests.post(f"{steward.base_url}/oauth/register", json=metadata, timeout=WITHIN_S)
    assert answer.status_code == 201, answer.text
    return str(steward.call("GET", "client-registrations/").json()["items"][0]["ref"])


def _fill(steward: Steward) -> None:
    """Make a row of each kind, for calls that should reach one."""
    owner = steward.call("GET", "people/").json()["items"][0]["ref"]
    agent = {
        "identifier": f"spiffe://{DOMAIN}/aimed",
        "name": "Aimed",
        "purpose": "Is aimed at",
        "contact": "a@b.example",
        "owner": owner,
    }
    action = {"name": "read", "title": "Read", "reversibility": "read-only"}
    resource = {"identifier": "https://aimed.example/", "name": "Aimed", "actions": [action]}
    steward.rows.update(
        {
            "people": steward.made("people/", {"email": "aimed@acme.example", "name": "Aimed"})["ref"],
            "groups": steward.made("groups/", {"slug": "aimed", "name": "Aimed"})["slug"],
            "trust-domains": steward.made("trust-domains/", {"name": "aimed.example"})["name"],
            "agents": steward.made("agents/", agent)["ref"],
            "trusted-servers": steward.made("trusted-servers/", {"issuer": "https://idp.example", "name": "Idp"})[
                "ref"
            ],
            "client-registrations": _registered(steward),
            "trust-rules": steward.made(
                "trust-rules/", {"kind": "redirect_host", "value": "c.example", "owner": owner}
            )["ref"],
            "resources": steward.made("resources/", resource)["ref"],
            "policies": str(steward.call("GET", "policies/").json()["items"][0]["number"]),
            "approval-requests": steward.call("GET", "approval-requests/").json()["items"][0]["ref"],
            "audit-entries": "0",
            "audit-exports": steward.made("audit-exports/", {"first": 0, "end": 1})["ref"],
            "audit-feeds": steward.made("audit-feeds/", FEED)["ref"],
            "audit-packs": "none",
            "audit-stories": "none",
            "audit-schedules": steward.made("audit-schedules/", {"name": "Aimed", "every": "day"})["ref"],
            "compliance": "none",
            "events": "none",
            "findings": "fnd_none",
            "chains": json.loads(unb64url(steward.token.split(".")[1]))["txn"],
        }
    )
    grant = {
        "agent": steward.rows["agents"],
        "resource": steward.rows["resources"],
        "actions": ["read"],
        "until_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    steward.rows["grants"] = steward.made("grants/", grant)["ref"]
