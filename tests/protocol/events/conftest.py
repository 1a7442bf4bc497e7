"""Courier and the payments API report what they did in one transaction, over HTTP alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from aims.authorization.models import AccessToken
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.console.management import audience, ensure_management_api
from aims.kit import clock, jose
from aims.kit.ids import tagged_hash
from audit.models import InboxRow
from tests.support.oauth_client import BY, Machine, Stage, stage

ENDPOINT = "/api/v1/events/"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Reporting:
    """The stage, with a transaction: a token of Courier's for the payments API. jti: of that token."""

    stage: Stage
    token: str
    txn: str
    jti: str

    def event(self, by: Machine, *, typ: str = "aims-event+jwt", key: Any = None, **changed: Any) -> str:
        """Return a signed event. changed: claims; ``event`` is laid over a tool call. None takes a member away."""
        now = clock.epoch_s()
        told = {"kind": "tool.call", "resource": self.stage.pay.identifier} | changed.pop("event", {})
        claims = {
            "iss": by.client_id,
            "aud": settings.ISSUER + ENDPOINT,
            "iat": now,
            "jti": uuid4().hex,
            "txn": self.txn,
        }
        said = claims | {"event": _without_none(told)} | changed
        signer = key or by.key
        return jose.sign(_without_none(said), key=signer, typ=typ, kid=signer.thumbprint(), algorithm="ES256")

    def courier(self, **changed: Any) -> str:
        return self.event(self.stage.courier, **changed)

    def server(self, **changed: Any) -> str:
        told = {"kind": "action.executed", "agent": self.stage.courier.client_id} | changed.pop("event", {})
        return self.event(self.stage.server, event=told, **changed)

    def send(self, body: str | list[str], *, token: str | None = None, **extra: Any) -> Any:
        """Send as Courier. token: "" for none, as a resource server sends."""
        bearer = self.token if token is None else token
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        kind = "application/json" if isinstance(body, list) else "application/jwt"
        raw = json.dumps(body) if isinstance(body, list) else body
        return self.stage.courier.http.generic(
            "POST",
            extra.pop("path", ENDPOINT),
            raw,
            content_type=extra.pop("content_type", kind),
            headers=headers,
            **extra,
        )

    def at_server(self, body: str | list[str], **extra: Any) -> Any:
        return self.send(body, token="", **extra)


@pytest.fixture
def reporting(db: None) -> Reporting:
    return make_reporting()


def make_reporting() -> Reporting:
    played, now = stage(), clock.now()
    terms = GiveGrant(
        from_person=None,
        agent=played.agent,
        resource=ensure_management_api(by=BY, now=now),
        actions=("report.events",),
        detail_types=(),
        until_at=now + timedelta(days=1),
    )
    give_grant(terms, by=BY, now=now)
    token = played.courier.token(resource=audience(), scope="report.events").json()["access_token"]
    assert played.courier.token(scope="accounts.read").status_code == 200
    row = AccessToken.objects.get(audience=played.pay.identifier)
    return Reporting(played, token, row.txn, str(row.jti))


def hash_of(text: str) -> str:
    return tagged_hash(text.encode())


def entries(kind: str = "observability.event.reported") -> list[dict[str, Any]]:
    found = [json.loads(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry for entry in found if entry["type"] == kind]


def problem(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/problem+json", answer.content
    assert answer["Cache-Control"] == "no-store"
    return answer.status_code, str(answer.json()["code"])


Signing = Callable[..., str]


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
