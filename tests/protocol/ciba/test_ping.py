"""What an agent's notification endpoint hears: a real receiver on a real socket, allowed by host and port."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from aims.authorization.models import Application, BackchannelRequest
from aims.authorization.services import ping
from aims.kit import clock, fetch
from audit.canonical import decode
from audit.models import InboxRow
from tests.protocol.ciba.conftest import Door, error_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("CIBA Core 1.0", "10.2", "ping"),
]
TOKEN = "n" * 1024  # the longest there may be
GRACE = timedelta(seconds=2)


@dataclass
class Receiver:
    """answers: the statuses to give, the last one for ever. heard: (path, headers, body) of each call.

    size_bytes: of the body of each answer. is_mute: it takes the call and never answers.
    """

    port: int = 0
    size_bytes: int = 0
    is_mute: threading.Event = field(default_factory=threading.Event)
    answers: list[int] = field(default_factory=lambda: [204])
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    told, over = Receiver(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.heard.append((self.path, dict(self.headers), body))
            if told.is_mute.is_set():
                over.wait(60)
                return
            self.send_response(told.answers.pop(0) if len(told.answers) > 1 else told.answers[0])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(told.size_bytes))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"x" * told.size_bytes)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    settings.FETCH_ALLOW = [f"127.0.0.1:{told.port}"]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def ping_door(door: Door, receiver: Receiver) -> Door:
    Application.objects.filter(agent=door.stage.agent).update(
        backchannel_token_delivery_mode="ping",
        backchannel_client_notification_endpoint=f"http://127.0.0.1:{receiver.port}/cb",
    )
    return door


def asked(door: Door) -> str:
    return door.asked(client_notification_token=TOKEN)


def deliver(after: timedelta = GRACE) -> int:
    with clock.shifted(after):
        return ping.deliver_due(now=clock.now())


def outcomes() -> list[str]:
    entries = [decode(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry["type"] for entry in entries if ".ping." in entry["type"]]


@pytest.mark.parametrize("decide", [Door.approve, Door.deny])
@pytest.mark.parametrize("status", [204, 200])
def test_yes_and_no_are_told_with_the_id_and_nothing_else(
    ping_door: Door, receiver: Receiver, decide: Any, status: int
) -> None:
    receiver.answers = [status]
    auth_req_id = asked(ping_door)
    decide(ping_door)
    assert deliver() == 1
    ((path, headers, body),) = receiver.heard
    assert (path, json.loads(body)) == ("/cb", {"auth_req_id": auth_req_id})
    assert (headers["Authorization"], headers["Content-Type"]) == (f"Bearer {TOKEN}", "application/json")
    assert BackchannelRequest.objects.get().sealed_delivery is None
    assert outcomes() == ["authorization.ping.delivered"]
    assert deliver() == 0
    assert len(receiver.heard) == 1


def test_nothing_is_told_before_the_answer_with_the_id_has_left(ping_door: Door, receiver: Receiver) -> None:
    asked(ping_door)
    ping_door.deny()
    assert deliver(timedelta()) == 0
    assert receiver.heard == []


def test_nothing_is_told_while_nobody_has_decided(ping_door: Door, receiver: Receiver) -> None:
    asked(ping_door)
    assert deliver() == 0
    assert receiver.heard == []


@pytest.mark.parametrize("status", [401, 403, 404, 301, 302, 307])
def test_a_refusal_or_a_redirect_ends_it_and_polling_still_works(
    ping_door: Door, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    auth_req_id = asked(ping_door)
    ping_door.approve()
    deliver()
    deliver(timedelta(hours=1))
    assert [path for path, _headers, _body in receiver.heard] == ["/cb"]
    assert outcomes() == ["authorization.ping.given_up"]
    assert BackchannelRequest.objects.get().sealed_delivery is None
    assert ping_door.poll(auth_req_id).status_code == 200


def test_trouble_is_tried_again_later_and_later(ping_door: Door, receiver: Receiver) -> None:
    receiver.answers = [500, 503, 204]
    asked(ping_door)
    ping_door.deny()
    assert deliver() == 0
    assert deliver() == 0  # not due yet
    assert len(receiver.heard) == 1
    assert deliver(GRACE + timedelta(seconds=3)) == 0
    assert deliver(GRACE + timedelta(seconds=8)) == 0
    assert len(receiver.heard) == 2
    assert deliver(GRACE + timedelta(seconds=15)) == 1
    assert outcomes() == ["authorization.ping.delivered"]


def test_it_gives_up_after_six_attempts(ping_door: Door, receiver: Receiver) -> None:
    receiver.answers = [500]
    asked(ping_door)
    ping_door.deny()
    for number in range(10):
        deliver(timedelta(hours=number + 1))
    assert len(receiver.heard) == ping.ATTEMPTS_MAX
    assert outcomes() == ["authorization.ping.given_up"]


@pytest.mark.parametrize(("status", "outcome"), [(401, "given_up"), (200, "delivered")])
def test_a_long_answer_counts_by_its_status_and_is_not_read(
    ping_door: Door, receiver: Receiver, status: int, outcome: str
) -> None:
    receiver.answers, receiver.size_bytes = [status], 8_000_000
    asked(ping_door)
    ping_door.approve()
    deliver()
    deliver(timedelta(hours=1))
    assert len(receiver.heard) == 1
    assert outcomes() == [f"authorization.ping.{outcome}"]


def ended_after_all_tries(ping_door: Door) -> str:
    """Try as often as there are tries; return the outcome that the log says."""
    auth_req_id = asked(ping_door)
    ping_door.approve()
    for number in range(ping.ATTEMPTS_MAX + 2):
        assert deliver(timedelta(minutes=20 * number) + GRACE) == 0
        if number == 0:  # not given up yet: what has to be told is kept, sealed
            assert BackchannelRequest.objects.get().sealed_delivery is not None
            assert outcomes() == []
            assert ping_door.poll(auth_req_id).status_code == 200
    door = BackchannelRequest.objects.get()
    assert (door.sealed_delivery, door.ping_due_at, door.ping_attempts) == (None, None, ping.ATTEMPTS_MAX)
    assert outcomes() == ["authorization.ping.given_up"]
    return door.ping_outcome


def test_an_endpoint_that_never_answers_is_given_up_in_the_end(
    ping_door: Door, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.5)
    receiver.is_mute.set()
    assert ended_after_all_tries(ping_door) == "too_slow"
    assert len(receiver.heard) == ping.ATTEMPTS_MAX


def test_an_endpoint_without_tls_where_it_should_have_it_is_given_up(ping_door: Door, receiver: Receiver) -> None:
    secure = f"https://127.0.0.1:{receiver.port}/cb"
    Application.objects.update(backchannel_client_notification_endpoint=secure)
    assert ended_after_all_tries(ping_door) == "unreachable"
    assert receiver.heard == []


def test_a_private_address_is_not_called(ping_door: Door, receiver: Receiver, settings: Settings) -> None:
    settings.FETCH_ALLOW = ["allowed.example:443"]
    secure = f"https://127.0.0.1:{receiver.port}/cb"
    Application.objects.update(backchannel_client_notification_endpoint=secure)
    assert ended_after_all_tries(ping_door) == "private_address"
    assert receiver.heard == []


def test_a_ping_client_may_poll_like_any_other(ping_door: Door) -> None:
    assert error_of(ping_door.poll(asked(ping_door))) == (400, "authorization_pending")


@pytest.mark.parametrize("token", [None, "short", "n" * 1025, "n" * 30 + " x", "n" * 30 + '"', "ü" * 40])
def test_a_bad_notification_token_is_refused(ping_door: Door, token: str | None) -> None:
    assert error_of(ping_door.ask(client_notification_token=token)) == (400, "invalid_request")


def test_in_poll_mode_the_notification_token_is_ignored(door: Door) -> None:
    door.asked(client_notification_token="!")
    assert BackchannelRequest.objects.get().sealed_delivery is None
