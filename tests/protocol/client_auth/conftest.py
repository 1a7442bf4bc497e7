"""A stage whose agent has a trust domain behind it, and may register another method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from aims.authorization.services.clients import ClientSettings, configure_client
from aims.credentials import services as credentials
from aims.identifier.models import Agent, TrustDomain
from aims.kit import clock
from tests.support.domain import Domain, Shown
from tests.support.oauth_client import BY, PAY, Stage, stage

READ = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
PROXY = "10.0.0.7"


@dataclass
class Town:
    """Courier and its trust domain."""

    on: Stage
    domain: Domain

    @property
    def me(self) -> str:
        return self.on.courier.client_id

    def post(self, form: dict[str, Any], path: str = "/oauth/token", **extra: Any) -> Any:
        return self.on.courier.post(path, form, **extra)

    def by_svid(self, assertion: str, **form: Any) -> Any:
        return self.post(READ | {"client_assertion_type": SPIFFE, "client_assertion": assertion} | form)

    def by_certificate(self, shown: Shown | None, *, address: str = PROXY, **form: Any) -> Any:
        headers = shown.headers if shown else {}
        return self.post({**READ, "client_id": self.me} | form, REMOTE_ADDR=address, **headers)

    def trusts(self, bundle: object) -> None:
        credentials.set_bundle(TrustDomain.objects.get(name="acme.example"), bundle, by=BY, now=clock.now())

    def registers(self, method: str, **more: Any) -> Agent:
        agent = Agent.objects.get(pk=self.on.agent.pk)
        configure_client(agent, ClientSettings(auth_method=method, **more), by=BY, now=clock.now())
        return agent


@pytest.fixture
def town(db: None, settings: Any) -> Town:
    settings.CLIENT_CERT_PROXIES = ["10.0.0.0/24"]
    return Town(on=stage(), domain=Domain())


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


Checked = Callable[[Any], None]
