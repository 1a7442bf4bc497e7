"""Two of our servers, each trusting the other: authority crosses both ways, and learns at the border to be less."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aims.demo.approver import Approver
from aims.demo.client import ACCESS_TOKEN, EXCHANGE, Client, wait_for_token
from tests.support.running import AimsServer, deployment
from tests.support.servers import free_port
from tests.support.world import READ, RESOURCE, World, ciba_form, inhabit, payment

JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
BOTH = ["chaining", "id-jag"]

pytestmark = pytest.mark.embedded


@dataclass(frozen=True)
class Side:
    """One of the two, with its agent, which the other knows too."""

    world: World
    client: Client


def neighbour(other: str) -> Callable[[dict[str, Any]], None]:
    """Return what registers the other server as a resource that may be gone to, and trusts it."""

    def also(configuration: dict[str, Any]) -> None:
        [agent, *_] = configuration["agents"]
        [person, *_] = configuration["people"]
        [first, *_] = configuration["grants"]
        actions = [{"name": READ, "title": "Read balances", "reversibility": "read-only"}]
        configuration["resources"].append({"identifier": other, "name": "Neighbour", "actions": actions})
        terms = {"agent": agent["identifier"], "resource": other, "actions": [READ], "until": first["until"]}
        configuration["grants"].append(terms | {"from_person": person["email"]})
        configuration["trusted_servers"] = [
            {
                "issuer": other,
                "name": "Neighbour",
                "accepts": BOTH,
                "receives": BOTH,
                "scopes": [READ],
                "subjects": [{"subject": "person-zero", "person": person["email"]}],
                "clients": [{"client_id": "the-agent", "agent": agent["identifier"]}],
                "jwks_uri": f"{other}/oauth/jwks",
            }
        ]

    return also


def beside(first: AimsServer, var: Path, *, port: int) -> AimsServer:
    """Make a second deployment from the empty database of the first: migrating costs more than all that follows."""
    shutil.copytree(first.var, var, dirs_exist_ok=True)
    env = {**first.env, "AIMS_VAR_DIR": str(var), "AIMS_ISSUER": f"http://localhost:{port}"}
    return AimsServer(base_url=env["AIMS_ISSUER"], env=env, var=var, port=port)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    ports = free_port(), free_port()
    allowed = ",".join(f"localhost:{port}" for port in ports)

    first = deployment(tmp_path_factory.mktemp("first"), port=ports[0], AIMS_FETCH_ALLOW=allowed)
    second = beside(first, tmp_path_factory.mktemp("second"), port=ports[1])
    servers = [first, second]
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        list(pool.map(AimsServer.start, servers))
        for server in servers:
            stack.callback(server.stop)
        pairs = zip(servers, reversed(servers), strict=True)
        worlds = list(pool.map(lambda pair: inhabit(pair[0], also=neighbour(pair[1].base_url)), pairs))
        a, b = (Side(world, world.agents[0].client(world.aims.base_url)) for world in worlds)
        yield a, b


def word_for(here: Side, there: Side) -> str:
    """Let an agent get a token here and exchange it for a word to the other server."""
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": READ}
    first = here.client.call("token_endpoint", form).body["access_token"]
    wanted = {"audience": there.client.issuer, "scope": READ, "requested_token_type": JWT}
    answer = here.client.exchange(first, ACCESS_TOKEN, wanted)
    assert (answer.status, answer.body.get("token_type")) == (200, "N_A"), answer.body
    return str(answer.body["access_token"])


def present(there: Side, word: str, **form: str) -> Any:
    return there.client.call(
        "token_endpoint", {"grant_type": JWT_BEARER, "assertion": word, "resource": RESOURCE} | form
    )


@pytest.mark.spec("draft-ietf-oauth-identity-chaining", "2", "authority crosses in both directions, and is used once")
@pytest.mark.parametrize("direction", [1, -1])
def test_a_chain_crosses_the_border(sides: tuple[Side, Side], direction: int) -> None:
    here, there = sides[::direction]
    word = word_for(here, there)
    answer = present(there, word)
    assert (answer.status, answer.body.get("scope")) == (200, READ), answer.body
    assert "refresh_token" not in answer.body
    assert (
        there.world.resource_server()
        .call("introspection_endpoint", {"token": answer.body["access_token"]})
        .body["active"]
    )
    assert present(there, word).error == "invalid_grant"
    assert present(here, word_for(here, there)).error == "invalid_grant"
    wider = present(there, word_for(here, there), scope=f"{READ} payments.initiate")
    assert wider.error == "invalid_scope"


@pytest.mark.spec("draft-ietf-oauth-identity-assertion-authz-grant", "4", "a person's sign-in here counts there")
def test_a_sign_in_crosses_the_border(sides: tuple[Side, Side]) -> None:
    here, there = sides
    [person] = here.world.enrolled(Approver)
    asked = here.client.call("backchannel_authentication_endpoint", ciba_form(here.world.emails[0], payment()))
    assert asked.status == 200, asked.body
    person.decide(person.wait_for_card(), expect="Pay 12.50 EUR to Nordwind GmbH", decision="approve")
    identity = wait_for_token(here.client, asked.body["auth_req_id"]).body["id_token"]
    wanted = {"audience": there.client.issuer, "scope": READ, "resource": RESOURCE, "requested_token_type": ID_JAG}
    jag = here.client.exchange(identity, ID_TOKEN, wanted)
    assert (jag.status, jag.body.get("issued_token_type")) == (200, ID_JAG), jag.body
    answer = present(there, jag.body["access_token"])
    assert (answer.status, answer.body.get("scope")) == (200, READ), answer.body
    seen = there.world.resource_server().call("introspection_endpoint", {"token": answer.body["access_token"]}).body
    assert (seen["sub"] != seen["client_id"], seen["active"]) == (True, True)
    assert present(here, jag.body["access_token"]).error == "invalid_grant"
    assert EXCHANGE in there.client.metadata["grant_types_supported"]
    urn = "urn:ietf:params:oauth:grant-profile:id-jag"
    assert urn in there.client.metadata["authorization_grant_profiles_supported"]
