"""People whose keys are not the usual ones, against the real server: enrolled, signed in, approving, receipt checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from aims.demo.approver import Approver
from aims.demo.authenticator import EDDSA, RS256, SoftAuthenticator
from tests.support.running import AimsServer
from tests.support.world import World, ciba_form, inhabit, payment

pytestmark = pytest.mark.spec("WebAuthn L3", "5.8.5", "a key of any algorithm that we offer may sign")
CIBA = "urn:openid:params:grant-type:ciba"


class Unusual(Approver):
    """The first person's authenticator makes Ed25519 keys, the second's RSA keys."""

    algorithms = iter((EDDSA, RS256))

    def __init__(self, origin: str, rp_id: str) -> None:
        super().__init__(origin, rp_id)
        self.authenticator = SoftAuthenticator(origin, rp_id, algorithms=(next(self.algorithms),))

    def sign_in_again(self) -> dict[str, Any]:
        """Sign in as in a fresh browser; return what the server answered."""
        self.browser = requests.Session()
        entrance = f"{self.origin}/sign-in/"
        page = self._page(entrance)
        options = self._post(entrance + "begin/", page, {})
        return self._post(entrance + "finish/", page, {"credential": json.dumps(self.authenticator.get(options))})


@pytest.fixture(scope="module")
def world(aims: AimsServer) -> World:
    return inhabit(aims, approvers=2)


@pytest.fixture(scope="module")
def people(world: World) -> list[Unusual]:
    return world.enrolled(Unusual)


@pytest.mark.parametrize("number", [0, 1], ids=["EdDSA", "RS256"])
def test_the_whole_story_with_another_algorithm(
    world: World, people: list[Unusual], number: int, tmp_path: Path
) -> None:
    issuer, person = world.aims.base_url, people[number]
    assert person.sign_in_again() == {"next": "/"}
    agent = world.agents[0].client(issuer)
    asked = agent.call("backchannel_authentication_endpoint", ciba_form(world.emails[number], payment()))
    address = person.wait_for_card()
    person.decide(address, expect="Pay 12.50 EUR to Nordwind GmbH", decision="approve")
    given = agent.call("token_endpoint", {"grant_type": CIBA, "auth_req_id": asked.body["auth_req_id"]})
    assert given.status == 200
    receipt, jwks = tmp_path / "receipt.jwt", tmp_path / "jwks.json"
    person.keep_receipt(address, receipt)
    jwks.write_text(requests.get(agent.metadata["jwks_uri"], timeout=15).text)
    told = world.aims.manage("verify", "--receipt", str(receipt), "--jwks", str(jwks)).stdout
    assert "Verified: receipt" in told
