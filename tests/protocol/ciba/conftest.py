"""An agent that may use CIBA, and Ada, who may decide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from aims.authorization import cards
from aims.authorization.models import Application, ApprovalRequest
from aims.authorization.services.requests import deny
from aims.kit import clock, jose
from aims.people.models import Passkey, Role, RoleHolding
from aims.people.options import Descriptor, request_options
from approvals import services
from approvals.sheet import LOCALE
from tests.support.oauth_client import PAY, Machine, Stage, payment, stage
from tests.support.soft_authenticator import HostileAuthenticator
from tests.unit.approvals.stage import enrol

CIBA = "urn:openid:params:grant-type:ciba"


@dataclass
class Door:
    """The backchannel door as an agent sees it, and a person behind it who decides by the rooms' own verbs."""

    stage: Stage
    authenticator: HostileAuthenticator
    passkey: Passkey

    @property
    def courier(self) -> Machine:
        return self.stage.courier

    def form(self, **changed: Any) -> dict[str, Any]:
        base = {
            "scope": "openid",
            "login_hint": "ada@acme.example",
            "resource": PAY,
            "authorization_details": payment(),
            "binding_message": "1234",
        }
        return {name: value for name, value in (base | changed).items() if value is not None}

    def ask(self, **changed: Any) -> Any:
        return self.courier.post("/oauth/bc-authorize", self.courier.signed(self.form(**changed)))

    def asked(self, **changed: Any) -> str:
        answer = self.ask(**changed)
        assert answer.status_code == 200, answer.content
        return str(answer.json()["auth_req_id"])

    def ask_signed(self, claims: dict[str, Any], *, outside: dict[str, Any] | None = None, **changed: Any) -> Any:
        how: dict[str, Any] = {
            "key": self.courier.key,
            "kid": self.courier.key.thumbprint(),
            "algorithm": "ES256",
            "typ": "JWT",
        } | changed
        form = {"request": jose.sign(claims, **how)} | (outside or {})
        return self.courier.post("/oauth/bc-authorize", self.courier.signed(form))

    def request_claims(self, **changed: Any) -> dict[str, Any]:
        now = clock.epoch_s()
        claims = self.courier.claims(nbf=now, exp=now + 300, sub=None) | self.form()
        claims["authorization_details"] = json.loads(claims["authorization_details"])
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def poll(self, auth_req_id: str, *, machine: Machine | None = None) -> Any:
        machine = machine or self.courier
        return machine.post("/oauth/token", machine.signed({"grant_type": CIBA, "auth_req_id": auth_req_id}))

    def request(self) -> ApprovalRequest:
        return ApprovalRequest.objects.latest("pk")

    def signature(self) -> bytes:
        """Return Ada's signed yes as her browser posts it: a prepared context, a real assertion."""
        request, ada = self.request(), self.stage.ada
        prepared = services.prepare(
            request,
            person=ada,
            session_key="s1",
            decision="approve",
            card=cards.card(bytes(request.statement)),
            locale=LOCALE,
            now=clock.now(),
        )
        options = request_options(
            challenge=bytes(prepared.challenge),
            rp_id=settings.RP_ID,
            allow=[Descriptor(bytes(self.passkey.credential_id), ())],
        )
        return json.dumps(self.authenticator.get(options)).encode()

    def approve(self, response: bytes | None = None) -> None:
        """Let Ada approve, through the strict verification; there is no other way to a yes."""
        signed = response or self.signature()
        services.approve(self.request(), person=self.stage.ada, session_key="s1", response=signed, now=clock.now())

    def deny(self) -> None:
        deny(self.request(), person=self.stage.ada, is_signed=False, now=clock.now())


@pytest.fixture
def door(db: None) -> Door:
    return standing_door()


def standing_door() -> Door:
    """Set the stage, and Ada at the door."""
    played = stage()
    RoleHolding.objects.create(person=played.ada, role=Role.APPROVER, since_at=clock.now() - timedelta(days=1))
    Application.objects.update_or_create(
        agent=played.agent,
        defaults={
            "client_id": played.agent.identifier,
            "grant_types": ["client_credentials", CIBA],
            "client_secret": "",
            "hash_client_secret": False,
        },
    )
    authenticator = HostileAuthenticator(settings.ISSUER, settings.RP_ID)
    passkey = enrol(played.ada, authenticator, at=clock.now() - timedelta(hours=1))
    return Door(played, authenticator, passkey)


@pytest.fixture
def signing_door(door: Door) -> Door:
    Application.objects.filter(agent=door.stage.agent).update(backchannel_authentication_request_signing_alg="ES256")
    return door


def error_of(answer: Any) -> tuple[int, str]:
    """Return status and code; the body has the two or three allowed members and nothing else (§13)."""
    body = answer.json()
    assert set(body) <= {"error", "error_description", "error_uri"}
    assert answer["Cache-Control"] == "no-store"
    return answer.status_code, str(body["error"])
