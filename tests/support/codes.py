"""A person's agreement without the pages where it is given, and what a client does with the code from then on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from aims.authorization.models import Application, DelegationGrant
from aims.authorization.services.codes import Standing, issue_code
from aims.kit import clock
from aims.kit.ids import b64url, new_secret, unb64url
from tests.support.oauth_client import PAY, Stage

REDIRECT = "https://courier.example/cb"
CODE, REFRESH = "authorization_code", "refresh_token"


@dataclass
class Agreed:
    """What Ada agreed to with Courier; codes come out of it. verifier: of PKCE, the same for all of them."""

    on: Stage
    verifier: str = field(default_factory=new_secret)

    @property
    def challenge(self) -> str:
        return b64url(hashlib.sha256(self.verifier.encode()).digest())

    def standing(self, **changed: Any) -> Standing:
        terms: dict[str, Any] = {
            "agent": self.on.agent,
            "person": self.on.ada,
            "grant": DelegationGrant.objects.earliest("pk"),
            "request": None,
            "resource": PAY,
            "scope": "openid offline_access accounts.read",
            "details": (),
            "auth_time": clock.now(),
            "acr": "phr",
            "amr": ("hwk", "user"),
            "nonce": "",
            "jkt": "",
        }
        return Standing(**(terms | changed))

    def code(self, **changed: Any) -> str:
        with transaction.atomic():
            return issue_code(
                self.standing(**changed), redirect_uri=REDIRECT, code_challenge=self.challenge, now=clock.now()
            )

    def redeem(self, code: str, *, dpop: str | None = None, **form: Any) -> Any:
        base = {"grant_type": CODE, "code": code, "redirect_uri": REDIRECT, "code_verifier": self.verifier}
        return self.post(base | form, dpop=dpop)

    def refresh(self, token: str, *, dpop: str | None = None, **form: Any) -> Any:
        return self.post({"grant_type": REFRESH, "refresh_token": token} | form, dpop=dpop)

    def post(self, form: dict[str, Any], *, dpop: str | None = None) -> Any:
        machine = self.on.courier
        sent = {name: value for name, value in form.items() if value is not None}
        extra = {"headers": {"DPoP": dpop}} if dpop else {}
        return machine.post("/oauth/token", machine.signed(sent), **extra)


def agreed(on: Stage) -> Agreed:
    """Let Courier be a client that may use codes and refresh tokens."""
    Application.objects.update_or_create(
        agent=on.agent,
        defaults={
            "client_id": on.agent.identifier,
            "client_secret": "",
            "hash_client_secret": False,
            "grant_types": ["client_credentials", CODE, REFRESH],
            "redirect_uris": REDIRECT,
        },
    )
    return Agreed(on)


def claims(token: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(unb64url(token.split(".")[1]))
    return body


def error(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.content
    assert answer["Cache-Control"] == "no-store"
    return str(answer.json()["error"])


def granted(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def introspected(ada: Agreed, token: str) -> dict[str, Any]:
    server = ada.on.server
    return granted(server.post("/oauth/introspect", server.signed({"token": token})))
