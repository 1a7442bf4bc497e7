"""A poll that waits: against the real server, with a real passkey signature on the other side."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from aims.demo.approver import Approver
from tests.support.running import AimsServer, deployment
from tests.support.servers import free_port
from tests.support.world import Agent, World, ciba_form, inhabit, payment

CIBA = "urn:openid:params:grant-type:ciba"
LONG = "wait=25"
WOKEN_WITHIN_S = 20
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


def poll(world: World, agent: Agent, auth_req_id: str, wait: str) -> requests.Response:
    client = agent.client(world.aims.base_url)
    answer: requests.Response = client.session.post(
        client.metadata["token_endpoint"],
        data={"grant_type": CIBA, "auth_req_id": auth_req_id},
        headers={"Prefer": wait},
        auth=client.session.client_auth("private_key_jwt"),
        withhold_token=True,
        timeout=60,
    )
    return answer


def withdraw(world: World, agent: Agent, auth_req_id: str) -> None:
    assert agent.client(world.aims.base_url).call("revocation_endpoint", {"token": auth_req_id}).status == 200


def refusal(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("error", ""))


class Held(threading.Thread):
    """A poll under way, for as long as a poll may take."""

    def __init__(self, *args: Any) -> None:
        super().__init__(daemon=True)
        self._args = args
        self.start()

    def run(self) -> None:
        self._answer = poll(*self._args)

    def answer(self) -> requests.Response:
        """Return the answer. Fails where it comes so late that its time, not its end, brought it."""
        self.join(WOKEN_WITHIN_S)
        assert not self.is_alive(), "nobody woke it"
        return self._answer


def test_the_answer_comes_when_the_person_says_yes(world: World, agent: Agent, ada: Person) -> None:
    auth_req_id = ask(world, agent, "1.01")
    address = ada.open("Pay 1.01 EUR")
    held = Held(world, agent, auth_req_id, LONG)
    ada.decide(address, expect="Pay 1.01 EUR to Nordwind GmbH", decision="approve")
    assert refusal(held.answer()) == (200, "")
    assert refusal(poll(world, agent, auth_req_id, LONG)) == (400, "invalid_grant")


def test_a_no_is_told_as_soon(world: World, agent: Agent, ada: Person) -> None:
    auth_req_id = ask(world, agent, "1.02")
    address = ada.open("Pay 1.02 EUR")
    held = Held(world, agent, auth_req_id, f"respond-async, {LONG}")
    ada.decide(address, expect="Pay 1.02 EUR to Nordwind GmbH", decision="deny")
    assert refusal(held.answer()) == (400, "access_denied")


def test_it_waits_as_long_as_asked_and_says_so(world: World, agent: Agent) -> None:
    auth_req_id = ask(world, agent, "1.03")
    began = time.monotonic()
    answer = poll(world, agent, auth_req_id, "wait=2")
    assert time.monotonic() - began >= 2
    assert refusal(answer) == (400, "authorization_pending")
    assert answer.headers["Preference-Applied"] == "wait"
    assert answer.headers["Cache-Control"] == "no-store"
    assert 1 <= int(answer.headers["Retry-After"]) <= 5  # what is left of the interval


def test_an_early_poll_is_told_to_slow_down_at_once(world: World, agent: Agent) -> None:
    auth_req_id = ask(world, agent, "1.04")
    assert refusal(poll(world, agent, auth_req_id, "wait=0")) == (400, "authorization_pending")
    answer = poll(world, agent, auth_req_id, LONG)
    assert refusal(answer) == (400, "slow_down")
    assert "Preference-Applied" not in answer.headers


def test_a_request_that_ends_while_held_is_expired_token(world: World, agent: Agent) -> None:
    held = Held(world, agent, ask(world, agent, "1.05", requested_expiry="2"), LONG)
    assert refusal(held.answer()) == (400, "expired_token")


def test_the_proof_of_a_held_poll_counts_once(world: World, agent: Agent) -> None:
    client = agent.client(world.aims.base_url)
    form = {"grant_type": CIBA, "auth_req_id": ask(world, agent, "1.06")}
    prepared = requests.Request("POST", client.metadata["token_endpoint"], data=form).prepare()
    auth = client.session.client_auth("private_key_jwt")
    url, headers, body = auth.prepare("POST", prepared.url, dict(prepared.headers), prepared.body)
    headers |= {"Content-Type": "application/x-www-form-urlencoded", "Prefer": "wait=1"}
    headers.pop("Content-Length", None)
    first, second = (requests.post(url, data=body, headers=headers, timeout=30).json() for _ in range(2))
    assert first["error"] == "authorization_pending"
    assert second["error"] == "invalid_client"


def test_many_that_wait_leave_room_for_others(world: World, agent: Agent) -> None:
    """Held polls keep no thread: while they wait, an ordinary call is answered, and what it does wakes them."""
    ids = [ask(world, agent, f"2.0{number}") for number in range(3)]
    held = [Held(world, agent, each, LONG) for each in ids]
    assert requests.get(f"{world.aims.base_url}/readyz", timeout=15).status_code == 200
    for auth_req_id in ids:
        withdraw(world, agent, auth_req_id)
    assert [refusal(each.answer()) for each in held] == [(400, "access_denied")] * len(ids)


@pytest.mark.scaled
def test_another_process_wakes_it(tmp_path: Path, own_database: str, redis_url: str) -> None:
    first = deployment(tmp_path, port=free_port(), AIMS_DATABASE_URL=own_database, AIMS_REDIS_URL=redis_url)
    port = free_port()
    second = AimsServer(base_url=f"http://localhost:{port}", env=first.env, var=tmp_path, port=port)
    with contextlib.ExitStack() as stack:
        for server in (first, second):
            server.start("--only", "pages")
            stack.callback(server.stop)
        world = inhabit(first)
        agent = world.agents[0]
        auth_req_id = ask(world, agent, "3.01")
        held = Held(world, agent, auth_req_id, LONG)
        elsewhere = agent.client(first.base_url)
        for name, address in elsewhere.metadata.items():
            if name.endswith("_endpoint"):
                elsewhere.metadata[name] = address.replace(first.base_url, second.base_url)
        it_arrives(first)
        assert elsewhere.call("revocation_endpoint", {"token": auth_req_id}).status == 200
        assert refusal(held.answer()) == (400, "access_denied")


_ARRIVED = """
import time
from aims.authorization.models import BackchannelRequest
deadline = time.monotonic() + 20
while not BackchannelRequest.objects.filter(polls__gt=0).exists():
    assert time.monotonic() < deadline, "no poll came"
    time.sleep(0.05)
"""


def it_arrives(aims: AimsServer) -> None:
    """Return when the first poll was counted: from then on it waits."""
    aims.manage("shell", "-v0", "-c", _ARRIVED)


def test_a_poll_that_waits_is_answered_when_the_server_stops(start_aims: Any) -> None:
    aims = start_aims()
    world = inhabit(aims)
    held = Held(world, world.agents[0], ask(world, world.agents[0], "4.01"), LONG)
    it_arrives(aims)
    assert aims.stop() == 0  # fails where that takes nearly as long as the poll may wait
    assert refusal(held.answer()) == (400, "authorization_pending")
