"""What tests ask about requests that have a plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aims.authorization.services.grants import GiveGrant, give_grant
from aims.credentials import services as credentials
from aims.identifier import services as identifier
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.ids import unb64url
from tests.support.faces import READ, Answer, Face, on_loop
from tests.support.oauth_client import BY, Machine, Stage
from tests.unit.authorization.entries import entries

ISSUED, REFUSED = "authorization.token.issued", "authorization.token.refused"
NEW_EACH_TIME = {"iat", "exp", "jti", "txn"}


@dataclass
class Seen:
    """Which requests had a plan, one word for each that was asked for one."""

    of: list[bool] = field(default_factory=list)
    is_off: bool = False

    def take(self) -> list[bool]:
        taken, self.of = self.of, []
        return taken


def warm(machine: Machine, seen: Seen, face: Face = on_loop, form: Mapping[str, str] = READ) -> list[bool]:
    assert {asks(machine, face, form).status for _ in range(3)} == {200}
    return seen.take()


def asks(machine: Machine, face: Face = on_loop, form: Mapping[str, str] = READ, **headers: str | None) -> Answer:
    said = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    return face(urlencode(machine.signed(form)).encode(), said)


def claims_of(answer: Answer) -> dict[str, Any]:
    payload = json.loads(answer.body)["access_token"].split(".")[1]
    return dict(json.loads(unb64url(payload)))


def lasting(answer: Answer) -> dict[str, Any]:
    """Return what of a token is the same for each request that says the same."""
    return {name: value for name, value in claims_of(answer).items() if name not in NEW_EACH_TIME}


def lasting_entries() -> list[dict[str, Any]]:
    """Return what of the entries is the same for each request that says the same."""
    return [
        entry | {"id": "", "occurred_at": "", "txn": "", "data": entry["data"] | {"jti": "", "expires_at": 0}}
        for entry in entries(ISSUED)
    ]


def headers_of(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "content-length"}


def twin_of(on: Stage, name: str) -> Machine:
    """Return another agent that may do what Courier may."""
    machine, now = Machine(f"spiffe://acme.example/{name}"), clock.now()
    command = identifier.RegisterAgent(
        identifier=machine.client_id, name=name, purpose="Pays", contact="a@b.example", owner=on.ada
    )
    agent = identifier.register_agent(command, by=BY, now=now)
    credentials.register_keys(agent.ref, machine.jwks, by=BY, now=now)
    give(agent, on, until_at=now + timedelta(days=1))
    return machine


def give(agent: Agent, on: Stage, *, until_at: datetime, budget: Mapping[str, Any] | None = None) -> None:
    terms = GiveGrant(
        from_person=on.ada, agent=agent, resource=on.pay, actions=("accounts.read", "drafts.write"), detail_types=(),
        until_at=until_at, budget=budget or {},
    )  # fmt: skip
    give_grant(terms, by=BY, now=clock.now())
