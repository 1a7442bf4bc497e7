"""A client of the machine endpoints: it signs for real and speaks only HTTP. And a stage with one agent on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.conf import settings
from django.test import Client as HttpClient
from joserfc.jwk import ECKey

from aims.authorization.services.grants import GiveGrant, give_grant
from aims.credentials import services as credentials
from aims.credentials import signing
from aims.identifier import services as identifier
from aims.identifier.models import Agent, Resource
from aims.kit import clock, jose
from aims.people.models import User
from aims.policy.services import load_policy

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MEDIA_TYPE = "application/x-www-form-urlencoded"
PAY = "https://pay.example/"
BY = "cli:test"
POLICY = (settings.BASE_DIR / "aims/policy/default.cedar").read_text()


@dataclass
class Machine:
    """Something with a key and an identifier."""

    client_id: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    http: HttpClient = field(default_factory=lambda: HttpClient(raise_request_exception=False))

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = clock.epoch_s()
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": settings.ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
        }
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def assertion(self, *, typ: str = "JWT", **changed: Any) -> str:
        return jose.sign(self.claims(**changed), key=self.key, typ=typ, kid=self.key.thumbprint(), algorithm="ES256")

    def signed(self, form: Mapping[str, Any]) -> dict[str, Any]:
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()} | dict(form)

    def post(self, path: str, form: Mapping[str, Any] | Sequence[tuple[str, str]], **extra: Any) -> Any:
        """POST a form as given; headers by keyword, as the test client wants them."""
        return self.http.post(path, urlencode(form, doseq=True), content_type=MEDIA_TYPE, **extra)

    def token(self, **form: Any) -> Any:
        base = {"grant_type": "client_credentials", "resource": PAY}
        return self.post("/oauth/token", self.signed({k: v for k, v in (base | form).items() if v is not None}))


def payment(amount: str = "10.00") -> str:
    """One payment, as the typed template wants it."""
    return json.dumps(
        [
            {
                "type": "payment_initiation",
                "locations": [PAY],
                "instructedAmount": {"amount": amount, "currency": "EUR"},
                "creditorName": "Acme",
                "creditorAccount": {"iban": "DE02100100109307118603"},
            }
        ]
    )


@dataclass
class Stage:
    """Ada owns Courier, which may read accounts, make drafts and pay at ``pay``."""

    ada: User
    agent: Agent
    pay: Resource
    courier: Machine
    server: Machine


def stage() -> Stage:
    """Set the stage with the rooms' own verbs."""
    now = clock.now()
    signing.forget()
    credentials.ensure_signing_keys(now)
    ada = User.objects.create(email="ada@acme.example", name="Ada")
    identifier.register_trust_domain("acme.example", by=BY, now=now)
    courier, server = Machine("spiffe://acme.example/courier"), Machine(PAY)
    agent = identifier.register_agent(
        identifier.RegisterAgent(
            identifier=courier.client_id, name="Courier", purpose="Pays", contact="a@b.example", owner=ada
        ),
        by=BY,
        now=now,
    )
    spec = identifier.ActionSpec
    actions = (
        spec(name="accounts.read", title="Read accounts", reversibility="read-only"),
        spec(name="drafts.write", title="Write drafts", reversibility="reversible"),
        spec(name="payments.create", title="Pay", reversibility="irreversible", detail_type="payment_initiation"),
    )
    pay = identifier.register_resource(
        identifier.RegisterResource(identifier=PAY, name="Pay", actions=actions), by=BY, now=now
    )
    credentials.register_keys(agent.ref, courier.jwks, by=BY, now=now)
    credentials.register_keys(pay.ref, server.jwks, by=BY, now=now)
    load_policy(POLICY, by=BY, now=now)
    give_grant(
        GiveGrant(
            from_person=ada,
            agent=agent,
            resource=pay,
            actions=tuple(action.name for action in actions),
            detail_types=("payment_initiation",),
            until_at=now + timedelta(days=1),
        ),
        by=BY,
        now=now,
    )
    return Stage(ada=ada, agent=agent, pay=pay, courier=courier, server=server)
