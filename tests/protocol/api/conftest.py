"""An agent that may manage, and what it manages, over HTTP alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.services.clients import ClientSettings
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.console.management import SCOPES, audience, ensure_management_api
from aims.console.registering import Keys, register
from aims.identifier.models import Agent
from aims.identifier.services import RegisterAgent
from aims.kit import clock
from audit.models import Entry, InboxRow
from tests.support.log import log_key, sequencer, written_once
from tests.support.oauth_client import BY, Machine, Stage, stage

__all__ = ["log_key", "sequencer", "written_once"]
ALL = " ".join(spec.name for spec in SCOPES)


@dataclass
class Desk:
    """The API as the managing agent sees it. token: with every scope, unless another is given."""

    stage: Stage
    steward: Machine
    agent: Agent
    token: str

    def issue(self, scope: str) -> str:
        answer = self.steward.token(resource=audience(), scope=scope)
        assert answer.status_code == 200, answer.content
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None, **extra: Any) -> Any:
        """Call the API. body: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        bearer = self.token if token is None else token
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        kind = extra.pop("content_type", "application/json")
        return self.steward.http.generic(method, f"/api/v1/{path}", raw, content_type=kind, headers=headers, **extra)

    def get(self, path: str, **extra: Any) -> Any:
        return self.call("GET", path, **extra)

    def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.call("POST", path, body, **extra)

    def new_agent(self, name: str = "robin") -> dict[str, Any]:
        return {
            "identifier": f"spiffe://acme.example/{name}",
            "name": name.title(),
            "purpose": "Sings",
            "contact": "ops@acme.example",
            "owner": self.stage.ada.ref,
        }


@pytest.fixture
def desk(db: None) -> Desk:
    played, now = stage(), clock.now()
    steward = Machine("spiffe://acme.example/steward")
    command = RegisterAgent(
        identifier=steward.client_id, name="Steward", purpose="Manages", contact="a@b.example", owner=played.ada
    )
    agent = register(command, keys=Keys(jwks=steward.jwks), client=ClientSettings(), by=BY, now=now)
    api = ensure_management_api(by=BY, now=now)
    terms = GiveGrant(
        from_person=None,
        agent=agent,
        resource=api,
        actions=tuple(spec.name for spec in SCOPES),
        detail_types=(),
        until_at=now + timedelta(days=1),
    )
    give_grant(terms, by=BY, now=now)
    desk = Desk(played, steward, agent, "")
    desk.token = desk.issue(ALL)
    return desk


def problem_of(answer: Any) -> tuple[int, str]:
    """Return status and code of a problem document. Spec: RFC 9457 §3."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["status"] == answer.status_code and body["title"] and body["detail"]
    return answer.status_code, str(body["code"])


def recorded(kind: str) -> list[dict[str, Any]]:
    """Return what was written to the log of this kind, numbered already or not."""
    raws = [*InboxRow.objects.values_list("payload", flat=True), *Entry.objects.values_list("canon", flat=True)]
    return [entry for entry in map(json.loads, map(bytes, raws)) if entry["type"] == kind]
