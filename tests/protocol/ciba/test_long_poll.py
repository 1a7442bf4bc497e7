"""A poll that waits: against the real server, with a real passkey signature on the other side."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
import requests

from aims.demo.approver import Approver
from aims.demo.client import OAuthAnswer
from tests.support.running import AimsServer
from tests.support.world import Agent, World, ciba_form, inhabit, payment

CIBA = "urn:openid:params:grant-type:ciba"
pytestmark = pytest.mark.spec("RFC 7240", "4.3", "a poll may ask the server to wait")


class Person(Approver):
    """Ada's browser, which may open a card before and sign at a moment of its choice."""

    def open(self, headline: str) -> str:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for link in self._page(f"{self.origin}/inbox/").links:
                if link.startswith("/inbox/apr_") and headline in self._page(self.origin + link).headline:
                    return self.origin + link
            time.sleep(0.1)
        raise AssertionError(f"no card says {headline}")


@pytest.fixture(scope="module")
def world(aims: AimsServer) -> World:
    return inhabit(aims)


@pytest.fixture(scope="module")
def ada(world: World) -> Person:
    return world.enrolled(Person)[0]


@pytest.fixture
def agent(world: World) -> Agent:
    return world.agents[0]


def ask(world: World, agent: Agent, amount: str, **more: str) -> str:
    form = ciba_form(world.emails[0], payment(amount, amount=amount), **more)
    answer = agent.client(world.aims.base_url).call("backchannel_authentication_endpoint", form)
    assert answer.status == 200, answer.body
    return str(answer.body["auth_req_id"])


def poll(world: World, agent: Agent, auth_req_id: str, wait: str) -> OAuthAnswer:
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    return agent.client(world.aims.base_url).call("token_endpoint", form, headers={"Prefer": wait})


class Held(threading.Thread):
    """A poll under way. ended_at: when its answer came (time.monotonic)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(daemon=True)
        self._args = args
        self.start()

    def run(self) -> None:
        self.answer = poll(*self._args)
        self.ended_at = time.monotonic()


def test_the_answer_comes_when_the_person_says_yes(world: World, agent: Agent, ada: Person) -> None:
    auth_req_id = ask(world, agent, "1.01")
    held = Held(world, agent, auth_req_id, "wait=20")
    address = ada.open("Pay 1.01 EUR")
    time.sleep(1)
    assert held.is_alive()
    ada.decide(address, expect="Pay 1.01 EUR to Nordwind GmbH", decision="approve")
    decided_at = time.monotonic()
    held.join(5)
    print(f"token {1000 * (held.ended_at - decided_at):.0f} ms after the approver's browser had its answer")
    assert held.answer.status == 200
    assert held.ended_at - decided_at < 0.5
    again = poll(world, agent, auth_req_id, "wait=20")
    assert (again.status, again.error) == (400, "invalid_grant")


def test_a_no_is_told_as_soon(world: World, agent: Agent, ada: Person) -> None:
    held = Held(world, agent, ask(world, agent, "1.02"), "respond-async, wait=20")
    ada.decide(ada.open("Pay 1.02 EUR"), expect="Pay 1.02 EUR to Nordwind GmbH", decision="deny")
    decided_at = time.monotonic()
    held.join(5)
    assert (held.answer.status, held.answer.error) == (400, "access_denied")
    assert held.ended_at - decided_at < 0.5


def test_it_waits_as_long_as_asked_and_says_so(world: World, agent: Agent) -> None:
    began = time.monotonic()
    client = agent.client(world.aims.base_url)
    answer = client.session.post(
        client.metadata["token_endpoint"],
        data={"grant_type": CIBA, "auth_req_id": ask(world, agent, "1.03")},
        headers={"Prefer": "wait=2"},
        auth=client.session.client_auth("private_key_jwt"),
        withhold_token=True,
        timeout=10,
    )
    assert 2 <= time.monotonic() - began < 4
    assert answer.json()["error"] == "authorization_pending"
    assert answer.headers["Preference-Applied"] == "wait"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Retry-After"] == "3"  # what is left of the interval


def test_an_early_poll_is_told_to_slow_down_at_once(world: World, agent: Agent) -> None:
    auth_req_id = ask(world, agent, "1.04")
    assert poll(world, agent, auth_req_id, "wait=0").error == "authorization_pending"
    began = time.monotonic()
    assert poll(world, agent, auth_req_id, "wait=20").error == "slow_down"
    assert time.monotonic() - began < 1


def test_a_request_that_ends_while_held_is_expired_token(world: World, agent: Agent) -> None:
    began = time.monotonic()
    answer = poll(world, agent, ask(world, agent, "1.05", requested_expiry="2"), "wait=20")
    assert (answer.status, answer.error) == (400, "expired_token")
    assert time.monotonic() - began < 4


def test_the_proof_of_a_held_poll_counts_once(world: World, agent: Agent) -> None:
    client = agent.client(world.aims.base_url)
    form = {"grant_type": CIBA, "auth_req_id": ask(world, agent, "1.06")}
    prepared = requests.Request("POST", client.metadata["token_endpoint"], data=form).prepare()
    auth = client.session.client_auth("private_key_jwt")
    url, headers, body = auth.prepare("POST", prepared.url, dict(prepared.headers), prepared.body)
    headers |= {"Content-Type": "application/x-www-form-urlencoded", "Prefer": "wait=1"}
    headers.pop("Content-Length", None)
    first, second = (requests.post(url, data=body, headers=headers, timeout=10).json() for _ in range(2))
    assert first["error"] == "authorization_pending"
    assert second["error"] == "invalid_client"


def test_many_that_wait_leave_room_for_others(world: World, agent: Agent) -> None:
    """Held polls keep neither thread nor connection: with more of them than threads, an ordinary call is answered."""
    ids = [ask(world, agent, f"2.0{number}") for number in range(3)]
    held = [Held(world, agent, each, "wait=4") for each in ids]
    time.sleep(0.5)
    began = time.monotonic()
    assert requests.get(f"{world.aims.base_url}/readyz", timeout=5).status_code == 200
    assert time.monotonic() - began < 1
    for each in held:
        each.join(10)
    assert {json.dumps(each.answer.body.get("error")) for each in held} == {'"authorization_pending"'}


def test_the_server_stops_while_a_poll_waits(start_aims: Any) -> None:
    aims = start_aims()
    world = inhabit(aims)
    form = ciba_form(world.emails[0], payment())
    world.enrolled(Person)
    answer = world.agents[0].client(aims.base_url).call("backchannel_authentication_endpoint", form)
    threading.Thread(
        target=lambda: pytest.raises(
            requests.RequestException, poll, world, world.agents[0], answer.body["auth_req_id"], "wait=25"
        ),
        daemon=True,
    ).start()
    time.sleep(1)
    began = time.monotonic()
    aims.stop()
    assert time.monotonic() - began < 10
