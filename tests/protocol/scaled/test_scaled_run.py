"""A day in a scaled deployment: several processes behind one origin, PostgreSQL, Redis; only the sequencer has the key.

The tests tell one day in order: each goes on where the one before left the deployment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from redis import Redis
from websockets.sync.client import connect
from websockets.typing import Origin

from aims.demo.approver import Approver
from aims.demo.client import CIBA, Client
from tests.protocol.scaled.town import KEY_VARIABLE, WITHIN_S, Town, town
from tests.support.world import READ, RESOURCE, World, ciba_form, inhabit, payment

pytestmark = pytest.mark.scaled

HEADLINE = "Pay 12.50 EUR to Nordwind GmbH"
# Tests may run as root, which a worker should not, on a PostgreSQL that does not wait for its disk, and they stop workers.
LAWFUL = (
    "SecurityWarning: You're running the worker with superuser privileges: this is",
    "PostgreSQL does not wait for its disk",
    "Requeuing undeliverable message for queue 'celery': No consumers.",
)
NOTIFICATION_TOKEN = "n" * 43
_PING = """
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.identifier.models import Agent
from aims.kit import clock
told = ClientSettings(delivery_mode="ping", notification_endpoint="{endpoint}")
configure_client(Agent.objects.get(identifier="{agent}"), told, by="cli:test", now=clock.now())
"""


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory, module_database: str, redis_url: str) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("scaled"), database=module_database, redis=redis_url) as made:
        yield made


@pytest.fixture(scope="module")
def rows(module_database: str) -> Iterator[psycopg.Connection]:
    """The database, to look into."""
    with psycopg.connect(module_database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def world(scaled: Town) -> World:
    """Two agents: the first is told by ping, the second polls."""
    made = inhabit(scaled.aims, agents=2)
    wish = _PING.format(agent=made.agents[0].identifier, endpoint=scaled.ear.address)
    scaled.aims.manage("shell", "-v0", "-c", wish)
    return made


@pytest.fixture(scope="module")
def person(world: World) -> Approver:
    return world.enrolled(Approver)[0]


@pytest.fixture(scope="module")
def pinged(world: World, person: Approver) -> Client:
    return world.agents[0].client(world.aims.base_url)


def test_an_agent_asks_a_bell_rings_a_ping_arrives_once_and_the_token_is_good(
    scaled: Town, world: World, person: Approver, pinged: Client, rows: psycopg.Connection
) -> None:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.browser.cookies)
    socket = scaled.aims.base_url.replace("http", "ws", 1) + "/live"
    with connect(socket, origin=Origin(scaled.aims.base_url), additional_headers={"Cookie": cookies}) as page:
        # The request comes in at a machine process; Redis carries the bell to the page of another.
        auth_req_id = _ask(pinged, world, 1)
        _heard(page.recv, "inbox")
    person.decide(person.wait_for_card(), expect=HEADLINE, decision="approve")
    scaled.until(lambda: _entries(rows, "authorization.ping.delivered") == 1)
    assert _told(scaled) == [auth_req_id]
    assert scaled.ear.heard[0][0] == f"Bearer {NOTIFICATION_TOKEN}"
    token = _redeemed(pinged, auth_req_id)
    seen = world.resource_server().call("introspection_endpoint", {"token": token})
    assert seen.body["active"] is True
    assert scaled.router.seen[scaled.router.machine] and scaled.router.seen[scaled.router.pages]


def test_a_request_that_nobody_answers_is_expired_by_the_sweep(
    scaled: Town, world: World, person: Approver, rows: psycopg.Connection
) -> None:
    client = world.agents[1].client(scaled.aims.base_url)
    auth_req_id = _ask(client, world, 2, requested_expiry="1")
    scaled.until(lambda: _entries(rows, "authorization.request.expired") == 1)
    poll = client.call("token_endpoint", {"grant_type": CIBA, "auth_req_id": auth_req_id})
    assert poll.error == "expired_token"


def test_a_beat_that_starts_again_sends_the_rare_sweeps_at_once(scaled: Town, rows: psycopg.Connection) -> None:
    rows.execute(
        "INSERT INTO people_ceremony (purpose, challenge, bound_to, expires_at)"
        " VALUES ('sign-in', 'old', 'nobody', now() - interval '1 hour')"
    )
    assert scaled.stop("beat") == {"beat": 0}
    scaled.start("beat")
    # By itself this sweep comes every ten minutes.
    scaled.until(lambda: not rows.execute("SELECT 1 FROM people_ceremony WHERE bound_to = 'nobody'").fetchone())


def test_only_the_worker_delivers_and_what_became_due_without_it_is_told_once(
    scaled: Town, world: World, person: Approver, pinged: Client, rows: psycopg.Connection
) -> None:
    assert scaled.stop("worker") == {"worker": 0}
    auth_req_id = _ask(pinged, world, 3)
    person.decide(person.wait_for_card(), expect=HEADLINE, decision="approve")
    # What the page and the tick asked for waits in Redis; none of the other processes takes it.
    with Redis.from_url(scaled.aims.env["AIMS_REDIS_URL"]) as broker:
        scaled.until(lambda: int(broker.llen("celery")) >= 2)
    assert len(scaled.ear.heard) == 1
    scaled.start("worker")
    scaled.until(lambda: _entries(rows, "authorization.ping.delivered") == 2)
    assert _told(scaled)[1:] == [auth_req_id]
    assert _redeemed(pinged, auth_req_id)


def test_only_the_sequencer_has_the_key_and_nobody_else_signs(scaled: Town, world: World) -> None:
    holders = [name for name, process in scaled.running.items() if KEY_VARIABLE in _environment(process.pid)]
    assert holders == ["sequencer"]
    assert not list(scaled.aims.var.glob("log.key")), "nobody made a key of their own"
    assert scaled.stop("sequencer") == {"sequencer": 0}
    signed = _checkpoint_size(scaled)
    _read_balance(world.agents[0].client(scaled.aims.base_url))
    assert _checkpoint_size(scaled) == signed, "the entry waits"
    scaled.start("sequencer")
    scaled.until(lambda: _checkpoint_size(scaled) > signed)


def test_forked_workers_share_no_connection_to_the_database(scaled: Town, module_database: str) -> None:
    port = urlsplit(module_database).port or 5432
    parent = scaled.running["machine"].pid
    children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    assert len(children) == 2
    held = [_sockets_to(port, pid) for pid in (parent, *children)]
    assert sum(map(len, held)) == len(set.union(*held))
    assert not held[0], "the parent answers nothing, so it asks nothing"


def test_nobody_had_anything_to_complain_about(scaled: Town) -> None:
    words = ("WARNING", "ERROR", "CRITICAL", "Traceback", "Warning:")
    lines = [line for line in scaled.log().splitlines() if any(word in line for word in words)]
    assert [line for line in lines if not any(words in line for words in LAWFUL)] == []


def test_a_lost_broker_costs_time_only(
    scaled: Town, world: World, person: Approver, pinged: Client, rows: psycopg.Connection
) -> None:
    scaled.cable.cut()
    auth_req_id = _ask(pinged, world, 4)
    person.decide(person.wait_for_card(), expect=HEADLINE, decision="approve")
    assert _redeemed(pinged, auth_req_id), "whoever asks is answered"
    slow = world.agents[1].client(scaled.aims.base_url)
    forgotten = _ask(slow, world, 5, requested_expiry="1")
    assert len(scaled.ear.heard) == 2
    scaled.cable.mend()
    scaled.until(lambda: _entries(rows, "authorization.ping.delivered") == 3)
    scaled.until(lambda: _entries(rows, "authorization.request.expired") == 2)
    assert _told(scaled)[2:] == [auth_req_id]
    assert slow.call("token_endpoint", {"grant_type": CIBA, "auth_req_id": forgotten}).error == "expired_token"


def test_every_process_stops_on_sigterm_and_the_log_verifies(scaled: Town, world: World) -> None:
    _read_balance(world.agents[0].client(scaled.aims.base_url))
    assert scaled.stop(*scaled.running) == dict.fromkeys(scaled.running, 0), scaled.log()
    verified = scaled.aims.manage("verify")
    assert "The log verifies" in verified.stdout
    assert ", 0 entries not yet under a checkpoint" in verified.stdout


def _ask(client: Client, world: World, number: int, **more: str) -> str:
    form = ciba_form(world.emails[0], payment(number), client_notification_token=NOTIFICATION_TOKEN, **more)
    asked = client.call("backchannel_authentication_endpoint", form)
    assert asked.status == 200, asked.body
    return str(asked.body["auth_req_id"])


def _redeemed(client: Client, auth_req_id: str) -> str:
    token = client.call("token_endpoint", {"grant_type": CIBA, "auth_req_id": auth_req_id})
    assert token.status == 200, token.body
    return str(token.body["access_token"])


def _read_balance(client: Client) -> None:
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": READ}
    assert client.call("token_endpoint", form).status == 200


def _heard(receive: Callable[..., str | bytes], topic: str) -> None:
    """Wait for a ring of this topic; the page of an auditor hears the log too."""
    deadline = time.monotonic() + WITHIN_S
    while json.loads(receive(timeout=max(0.1, deadline - time.monotonic())))["topic"] != topic:
        assert time.monotonic() < deadline


def _told(scaled: Town) -> list[str]:
    """Return what the agent's endpoint was told: ids and nothing else."""
    bodies = [json.loads(body) for _authorization, body in scaled.ear.heard]
    assert all(set(body) == {"auth_req_id"} for body in bodies)
    return [body["auth_req_id"] for body in bodies]


def _entries(rows: psycopg.Connection, kind: str) -> int:
    found = rows.execute("SELECT count(*) FROM audit_entry WHERE type = %s", [kind]).fetchone()
    assert found
    return int(found[0])


def _checkpoint_size(scaled: Town) -> int:
    """Return the size in the served checkpoint. Spec: C2SP tlog-checkpoint, the second line."""
    answer = requests.get(f"{scaled.aims.base_url}/log/checkpoint", timeout=WITHIN_S)
    return int(answer.text.splitlines()[1])


def _environment(pid: int) -> set[str]:
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return {entry.partition("=")[0] for entry in raw.split("\0")}


def _sockets_to(port: int, pid: int) -> set[str]:
    """Return the inodes of a process's TCP sockets that lead to a port."""
    lines = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()]
    leading = {line[9] for line in lines[1:] if line[2].endswith(f":{port:04X}")}
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return {link for link in links if link.removeprefix("socket:[").removesuffix("]") in leading}
