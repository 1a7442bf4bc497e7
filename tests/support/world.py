"""People, agents and a payments API in a deployment under test, put there by the commands of an operator.

Agents and approvers then speak HTTP only: Authlib's client and a software authenticator, nothing of the console's code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from joserfc.jwk import ECKey

from aims.demo.approver import Approver
from aims.demo.client import Client
from aims.demo.keys import public_jwks
from tests.support.running import ROOT, AimsServer

RESOURCE = "https://pay.example/"
DOMAIN = "acme.example"
READ, PAY = "accounts.read", "payments.initiate"
POLICY = ROOT / "aims" / "policy" / "default.cedar"

Browser = TypeVar("Browser", bound=Approver)


@dataclass(frozen=True)
class Agent:
    """An agent's name on the wire and its key."""

    identifier: str
    key: ECKey

    def client(self, issuer: str) -> Client:
        """Return its OAuth client; it discovers the issuer's endpoints first."""
        return Client(issuer, self.identifier, self.key)


@dataclass(frozen=True)
class World:
    """Who lives in a deployment. Every agent has a grant of every approver. server_key: the payments API's own."""

    aims: AimsServer
    agents: tuple[Agent, ...]
    emails: tuple[str, ...]
    server_key: ECKey

    def resource_server(self) -> Client:
        """Return the payments API as a client: it introspects."""
        return Client(self.aims.base_url, RESOURCE, self.server_key)

    def enrolled(self, browser: type[Browser]) -> list[Browser]:
        """Let everybody make a passkey with an enrolment link of the operator; return their browsers, signed in."""
        links = self.aims.manage("shell", "-v0", "-c", _INVITE.format(emails=list(self.emails))).stdout.split()
        host = str(urlsplit(self.aims.base_url).hostname)
        people = [browser(self.aims.base_url, host) for _ in links]
        for person, link in zip(people, links, strict=True):
            person.enrol(link)
        return people


_INVITE = """
from django.conf import settings
from aims.kit import clock
from aims.people.services import invite
for email in {emails}:
    print(settings.ISSUER + "/join/" + invite(email, by="cli:test", now=clock.now()) + "/")
"""


def inhabit(
    aims: AimsServer,
    *,
    agents: int = 1,
    approvers: int = 1,
    also: Callable[[dict[str, Any]], None] = lambda configuration: None,
) -> World:
    """Apply a configuration with so many agents and approvers. also: changes the configuration before."""
    known = tuple(Agent(f"spiffe://{DOMAIN}/agent/a{number}", _key()) for number in range(agents))
    emails = tuple(f"p{number}@{DOMAIN}" for number in range(approvers))
    world = World(aims, known, emails, _key())
    configuration = _configuration(world)
    also(configuration)
    path = aims.var / "world.yaml"
    path.write_text(json.dumps(configuration))  # JSON is YAML
    aims.manage("apply", str(path))
    return world


def payment(number: int | str = 1, *, amount: str = "12.50") -> dict[str, Any]:
    """Return one payment, as ``authorization_details``. Spec: RFC 9396 §2."""
    return {
        "type": "payment_initiation",
        "actions": [PAY],
        "locations": [RESOURCE],
        "instructedAmount": {"amount": amount, "currency": "EUR"},
        "creditorName": "Nordwind GmbH",
        "creditorAccount": {"iban": "DE02120300000000202051"},
        "remittanceInformationUnstructured": f"Invoice {number}",
    }


def ciba_form(approver: str, detail: dict[str, Any], **more: str) -> dict[str, str]:
    """Return the parameters of an authentication request. Spec: CIBA Core 1.0 §7.1."""
    return {
        "scope": "openid",
        "login_hint": approver,
        "resource": RESOURCE,
        "authorization_details": json.dumps([detail]),
    } | more


def _key() -> ECKey:
    return ECKey.generate_key("P-256", auto_kid=True)


def _configuration(world: World) -> dict[str, Any]:
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    actions = [
        {"name": READ, "title": "Read balances", "reversibility": "read-only"},
        {"name": PAY, "title": "Pay", "reversibility": "irreversible", "detail_type": "payment_initiation"},
    ]
    return {
        "trust_domains": [{"name": DOMAIN}],
        "people": [
            {"email": email, "name": f"Person {number}", "roles": ["approver", "owner", "auditor"]}
            for number, email in enumerate(world.emails)
        ],
        "resources": [
            {"identifier": RESOURCE, "name": "Payments", "actions": actions, "jwks": public_jwks(world.server_key)}
        ],
        "agents": [
            {
                "identifier": agent.identifier,
                "name": agent.identifier.rsplit("/", 1)[1],
                "purpose": "Pays invoices.",
                "contact": "operations@acme.example",
                "owner": world.emails[0],
                "jwks": public_jwks(agent.key),
            }
            for agent in world.agents
        ],
        "grants": [
            {
                "from_person": email,
                "agent": agent.identifier,
                "resource": RESOURCE,
                "actions": [READ, PAY],
                "detail_types": ["payment_initiation"],
                "until": until,
            }
            for agent in world.agents
            for email in world.emails
        ],
        "policies": [{"name": "default", "text": POLICY.read_text()}],
    }
