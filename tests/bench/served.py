"""What people and agents wait for, measured over HTTP at a real server: pings, cards, pages. Design section 10.

One embedded server with PostgreSQL on the server's core; the clients, with their signatures, on the other. Half load:
agents that ask for tokens at half the rate that the server reaches when nothing else happens.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

import requests
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from aims.demo.approver import Approver
from aims.demo.client import CIBA, Client
from tests.bench.cases import Figure, Reading, figure, waits
from tests.bench.cores import CLIENT_CORE, SERVER_CORE, pin
from tests.support.running import AimsServer, aims_server
from tests.support.servers import database_of_its_own
from tests.support.world import READ, RESOURCE, World, ciba_form, inhabit, payment

STORIES = 48
ASKERS = 8  # so that no pair of agent and approver passes its ten requests a minute
PAGE_VIEWS = 40
LOADERS = 4
CAPACITY_S = 4.0
PAGES = ("/", "/inbox/", "/agents/", "/grants/", "/audit/", "/me/")
WITHIN_S = 20
GRACE_S = 1.1  # a ping never comes within a second of the answer that named the request
_OWN = {"client_notification_token": "n" * 43}
_PING = """
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.identifier.models import Agent
from aims.kit import clock
told = ClientSettings(delivery_mode="ping", notification_endpoint="{endpoint}")
for agent in Agent.objects.filter(identifier__in={agents}):
    configure_client(agent, told, by="cli:bench", now=clock.now())
"""


class _Ear(ThreadingHTTPServer):
    """An agent that fetches its token as soon as it is told to, and notes when it had it."""

    def __init__(self) -> None:
        self.tokens: SimpleQueue[tuple[float, str]] = SimpleQueue()
        self.fetch: Callable[[str], str] = lambda auth_req_id: ""
        ear = self

        class Face(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                self.wfile.flush()
                token = ear.fetch(told["auth_req_id"])
                ear.tokens.put((time.perf_counter(), token))

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        super().__init__(("127.0.0.1", 0), Face)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Person(Approver):
    """An approver who notes the time."""

    def sign_next(self) -> tuple[float, float]:
        """Sign what comes first in the inbox; return when the signature left and when the page answered."""
        address = self.wait_for_card()
        page = self._page(address)
        options = json.loads(page.card["yes-options"])
        signed = json.dumps(self.authenticator.get(options.get("publicKey", options)))
        headers = {"Content-Type": "application/json", "Referer": address, "X-CSRFToken": self._token(page)}
        sent = time.perf_counter()
        done = self.browser.post(f"{address}approve/", data=signed, headers=headers, timeout=WITHIN_S)
        answered = time.perf_counter()
        assert done.status_code == 200, done.text
        return sent, answered


class _Place:
    """The deployment, who lives there, and the load on it."""

    def __init__(self, aims: AimsServer, ear: _Ear) -> None:
        self.aims, self.ear = aims, ear
        self.world: World = inhabit(aims, agents=2 * ASKERS + LOADERS)
        pinged = [agent.identifier for agent in self.world.agents[:ASKERS]]
        address = f"http://localhost:{ear.server_port}/told"
        aims.manage("shell", "-v0", "-c", _PING.format(agents=pinged, endpoint=address))
        self.person = self.world.enrolled(_Person)[0]
        clients: list[Client] = [agent.client(aims.base_url) for agent in self.world.agents]
        self.pinged, self.polling, self.loading = clients[:ASKERS], clients[ASKERS:-LOADERS], clients[-LOADERS:]
        self.asked: dict[str, Client] = {}
        ear.fetch = self._fetched
        self.per_second = self._capacity()

    def ask(self, client: Client, number: int, **more: str) -> str:
        """Ask for a payment's approval; return the auth_req_id."""
        form = ciba_form(self.world.emails[0], payment(number), **more)
        answer = client.call("backchannel_authentication_endpoint", form)
        assert answer.status == 200, answer.body
        auth_req_id = str(answer.body["auth_req_id"])
        self.asked[auth_req_id] = client
        return auth_req_id

    @contextmanager
    def half_load(self) -> Iterator[None]:
        """Keep the server busy at half of what it can do, for a block."""
        stop, gap_s = threading.Event(), 2 * LOADERS / self.per_second
        threads = [threading.Thread(target=self._load, args=(one, gap_s, stop)) for one in self.loading]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _load(self, client: Client, gap_s: float, stop: threading.Event) -> None:
        due = time.perf_counter()
        while not stop.is_set():
            _token(client)
            due = max(due + gap_s, time.perf_counter() - 1)
            stop.wait(max(0.0, due - time.perf_counter()))

    def _capacity(self) -> float:
        counts, until = [0] * LOADERS, time.perf_counter() + CAPACITY_S

        def work(at: int) -> None:
            while time.perf_counter() < until:
                _token(self.loading[at])
                counts[at] += 1

        threads = [threading.Thread(target=work, args=(at,)) for at in range(LOADERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / CAPACITY_S

    def _fetched(self, auth_req_id: str) -> str:
        answer = self.asked[auth_req_id].call("token_endpoint", {"grant_type": CIBA, "auth_req_id": auth_req_id})
        return str(answer.body.get("access_token", ""))


def _token(client: Client) -> None:
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": READ}
    answer = client.call("token_endpoint", form)
    assert answer.status == 200, answer.body


@cache
def _place() -> _Place:
    """Return the one deployment of this run; it lives until the run ends."""
    ear = _Ear()
    keep = _opened(ear)
    aims = next(keep)
    _kept.append(keep)
    pin(CLIENT_CORE)
    return _Place(aims, ear)


_kept: list[Iterator[AimsServer]] = []


def close() -> None:
    """Stop the deployment, if there is one."""
    for each in _kept:
        next(each, None)
    _kept.clear()


def _opened(ear: _Ear) -> Iterator[AimsServer]:
    pin(SERVER_CORE)
    allowed = f"localhost:{ear.server_port}"
    with (
        tempfile.TemporaryDirectory() as var,
        database_of_its_own(os.environ["TEST_DATABASE_URL"]) as database,
        aims_server(Path(var), AIMS_DATABASE_URL=database, AIMS_FETCH_ALLOW=allowed) as aims,
    ):
        yield aims


def _approvals() -> Sequence[Reading]:
    place = _place()
    for number in range(STORIES):
        place.ask(place.pinged[number % ASKERS], number, **_OWN)
    time.sleep(GRACE_S)
    with place.half_load():
        seen = [_approval(place) for _ in range(STORIES)]
    from_click, from_answer = zip(*seen, strict=True)
    load = Reading(what="background, tokens", value=place.per_second / 2, unit="/s")
    clicked = waits(from_click, p50=10, p99=50)
    return [load, *clicked, *(_from_answer(each) for each in waits(from_answer, p50=10, p99=50))]


def _from_answer(each: Reading) -> Reading:
    return Reading(what=f"{each.what} from the page's answer", value=each.value, unit=each.unit)


def _approval(place: _Place) -> tuple[float, float]:
    """Return the seconds from the signature's departure, and from the page's answer, to the token."""
    sent, answered = place.person.sign_next()
    got, token = place.ear.tokens.get(timeout=WITHIN_S)
    assert token
    return got - sent, got - answered


def _arrivals() -> Sequence[Reading]:
    place = _place()
    with _open_page(place) as page:
        return waits([_arrival(place, page, number) for number in range(STORIES)], p50=100, p99=500)


def _arrival(place: _Place, page: ClientConnection, number: int) -> float:
    """Return the seconds from an agent's request to the list with its card on the page that was open."""
    client, before, began = place.polling[number % ASKERS], _listed(place), time.perf_counter()
    auth_req_id = place.ask(client, number)
    while json.loads(page.recv(WITHIN_S))["topic"] != "inbox" or _listed(place) == before:
        pass
    elapsed = time.perf_counter() - began
    client.call("revocation_endpoint", {"token": auth_req_id})
    return elapsed


@contextmanager
def _open_page(place: _Place) -> Iterator[ClientConnection]:
    address = urlsplit(place.aims.base_url)._replace(scheme="ws", path="/live").geturl()
    cookies = "; ".join(f"{one.name}={one.value}" for one in place.person.browser.cookies)
    origin = Origin(place.aims.base_url)
    with connect(address, origin=origin, additional_headers={"Cookie": cookies}) as socket:
        yield socket


def _listed(place: _Place) -> str:
    answer = place.person.browser.get(f"{place.aims.base_url}/inbox/part/", timeout=WITHIN_S)
    answer.raise_for_status()
    return str(answer.text)


def _pages() -> Sequence[Reading]:
    place = _place()
    return list(itertools.chain.from_iterable(_page(place, path) for path in PAGES))


def _page(place: _Place, path: str) -> list[Reading]:
    views = [_viewed(place.person.browser, place.aims.base_url + path) for _ in range(PAGE_VIEWS)]
    return [
        Reading(what=f"{path} {each.what}", value=each.value, unit="ms", bar=each.bar) for each in waits(views, p95=100)
    ]


def _viewed(browser: requests.Session, address: str) -> float:
    began = time.perf_counter()
    browser.get(address, timeout=WITHIN_S).raise_for_status()
    return time.perf_counter() - began


figure(Figure(name="approval to token by ping, half load", measure=_approvals))
figure(Figure(name="request to card on the open page", measure=_arrivals))
figure(Figure(name="page", measure=_pages))
