"""The backchannel by other methods: the same authentication, and a token bound to the certificate that redeemed."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.models import ApprovalRequest
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.credentials import services as credentials
from aims.identifier.models import Agent
from aims.kit import clock
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_edges import claims_of
from tests.support.domain import Domain, Shown
from tests.support.oauth_client import BY
from tests.support.workload import Workload

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
ASK = "/oauth/bc-authorize"


def registers(door: Door, method: str, domain: Domain, use: str) -> None:
    agent = Agent.objects.select_related("trust_domain").get(pk=door.stage.agent.pk)
    credentials.set_bundle(agent.trust_domain, domain.bundle(use=use), by=BY, now=clock.now())
    configure_client(agent, ClientSettings(auth_method=method), by=BY, now=clock.now())


@pytest.mark.spec("RFC 8705", "3", "a request by one certificate is redeemed by a renewed one, and bound to that")
def test_a_certificate_asks_and_a_renewed_one_redeems(door: Door, settings: Any) -> None:
    settings.CLIENT_CERT_PROXIES = ["10.0.0.7"]
    domain, me = Domain(), door.courier.client_id
    registers(door, "spiffe_x509", domain, "jwt-svid")

    def post(path: str, form: dict[str, Any], shown: Shown) -> Any:
        return door.courier.post(path, {"client_id": me} | form, REMOTE_ADDR="10.0.0.7", **shown.headers)

    assert error_of(door.ask()) == (401, "invalid_client")  # another method than the registered one
    assert error_of(post(ASK, door.form(), Domain().svid(me))) == (401, "invalid_client")
    asked, redeeming = domain.svid(me), domain.svid(me)
    auth_req_id = post(ASK, door.form(), asked).json()["auth_req_id"]
    poll = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    assert error_of(post("/oauth/token", poll, redeeming)) == (400, "authorization_pending")
    door.approve()
    claims = claims_of(post("/oauth/token", poll, redeeming).json()["access_token"])
    assert claims["cnf"].keys() == {"x5t#S256"}
    assert claims["approval"]["id"] == ApprovalRequest.objects.get().ref


@pytest.mark.spec("draft-ietf-wimse-wpt", "3.2", "a proof is for one endpoint and no other")
def test_a_proof_is_for_the_endpoint_that_it_names(door: Door) -> None:
    domain = Domain()
    registers(door, "wimse_wit_wpt", domain, "wit-svid")
    work = Workload(domain=domain, name=door.courier.client_id)
    assert error_of(door.courier.post(ASK, door.form(), **work.proved())) == (401, "invalid_client")
    assert door.courier.post(ASK, door.form(), **work.proved(path=ASK)).status_code == 200
