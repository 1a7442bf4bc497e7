"""The bell through the real server, as a browser hears it: one process, its own loop, its own threads."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from aims.console.live import SESSION_ENDED, SOCKETS_MAX
from aims.demo.approver import Approver
from tests.support.running import AimsServer
from tests.support.world import World, ciba_form, inhabit, payment

WITHIN_S = 10
FRAME_MAX_BYTES = 4096
MESSAGE_TOO_BIG = 1009  # RFC 6455 §7.4.1


@pytest.fixture(scope="module")
def world(aims: AimsServer) -> World:
    return inhabit(aims)


@pytest.fixture(scope="module")
def ada(world: World) -> Approver:
    return world.enrolled(Approver)[0]


@contextlib.contextmanager
def page_of(person: Approver, *, path: str = "/live", origin: str | None = None) -> Iterator[ClientConnection]:
    """An open page of a person's browser."""
    address = urlsplit(person.origin)._replace(scheme="ws", path=path).geturl()
    cookies = "; ".join(f"{one.name}={one.value}" for one in person.browser.cookies)
    with connect(address, origin=Origin(origin or person.origin), additional_headers={"Cookie": cookies}) as socket:
        yield socket


def closes(socket: ClientConnection) -> int:
    """Return the code with which it closes. She may read the log, whose bells may come first."""
    with pytest.raises(ConnectionClosed) as closed:
        _listen_until_closed(socket)
    assert closed.value.rcvd
    return closed.value.rcvd.code


def _listen_until_closed(socket: ClientConnection) -> None:
    while True:
        socket.recv(WITHIN_S)


def ask(world: World, amount: str) -> None:
    form = ciba_form(world.emails[0], payment(amount, amount=amount))
    answer = world.agents[0].client(world.aims.base_url).call("backchannel_authentication_endpoint", form)
    assert answer.status == 200, answer.body


def test_a_request_rings_the_page_that_is_open(world: World, ada: Approver) -> None:
    with page_of(ada) as socket:
        ask(world, "1.01")
        heard = set()
        while "inbox" not in heard:  # she reads the log too, so that may ring first
            bell = json.loads(socket.recv(WITHIN_S))
            assert set(bell) == {"topic"}, "a bell has no content"
            heard.add(bell["topic"])


def test_another_origin_gets_no_socket_and_leaves_no_trace(ada: Approver) -> None:
    with pytest.raises(InvalidStatus) as refused, page_of(ada, origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_another_address_gets_no_socket_and_no_line_in_the_log(world: World, ada: Approver) -> None:
    with pytest.raises(InvalidStatus), page_of(ada, path="/join/a-secret-token/"):
        pass
    assert "a-secret-token" not in world.aims.log()
    assert "Traceback" not in world.aims.log()


def test_a_frame_that_is_too_large_closes_the_socket(ada: Approver) -> None:
    with page_of(ada) as socket:
        socket.send("x" * FRAME_MAX_BYTES)  # ignored
        socket.send("x" * (FRAME_MAX_BYTES + 1))
        assert closes(socket) == MESSAGE_TOO_BIG


def test_more_pages_than_a_person_can_read_leave_room_for_others(world: World, ada: Approver) -> None:
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(page_of(ada)) for _ in range(SOCKETS_MAX)]
        with pytest.raises(InvalidStatus):
            stack.enter_context(page_of(ada))
        ask(world, "1.02")
        assert all(json.loads(page.recv(WITHIN_S))["topic"] for page in pages)
        assert requests.get(f"{world.aims.base_url}/readyz", timeout=WITHIN_S).status_code == 200
    deadline = time.monotonic() + WITHIN_S
    while True:  # the server hears of the closing a moment later
        try:
            with page_of(ada):
                return
        except InvalidStatus:
            assert time.monotonic() < deadline


def test_signing_out_closes_the_open_page(world: World, ada: Approver) -> None:
    with page_of(ada) as socket:
        page = ada._page(f"{ada.origin}/me/")
        form = {"csrfmiddlewaretoken": page.fields["csrfmiddlewaretoken"]}
        done = ada.browser.post(f"{ada.origin}/sign-out/", form, headers={"Referer": ada.origin}, timeout=WITHIN_S)
        assert done.status_code == 200
        assert closes(socket) == SESSION_ENDED
    with page_of(ada) as socket:
        assert closes(socket) == SESSION_ENDED
