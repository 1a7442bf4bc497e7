"""Polls that are held, through the whole ASGI application: who may wait, what wakes them, and who gives up a place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import OperationalError, connections

from aims.asgi import application
from aims.authorization.endpoints import long_poll
from aims.authorization.services import redemption
from aims.authorization.services.agents import suspend_agent
from aims.authorization.services.requests import cancel
from aims.identifier.models import Agent
from aims.kit import clock
from tests.protocol.ciba.conftest import CIBA, Door
from tests.support.log import written_once
from tests.support.oauth_client import BY, MEDIA_TYPE, PAY

__all__ = ["written_once"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("written_once"),
    pytest.mark.spec("RFC 7240", "4.3", "a poll may ask the server to wait"),
]
WITHIN_S = 20  # less than a poll waits: who answers later has not been woken
_communicator: Any = ApplicationCommunicator  # it has no types


class Poll:
    """One poll that wishes to wait, as a server hands it to the application."""

    def __init__(self, door: Door, auth_req_id: str, /, *, app: Any = application, **changed: str) -> None:
        form = door.courier.signed({"grant_type": CIBA, "auth_req_id": auth_req_id} | changed)
        self._body = urlencode(form).encode()
        said = {"host": "localhost:8000", "content-type": MEDIA_TYPE, "prefer": "wait=25"}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/oauth/token",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "server": ("localhost", 8000),
            "client": ("127.0.0.1", 50_000),
        }
        self._server = _communicator(app, scope)

    async def arrives(self) -> None:
        await self._server.send_input({"type": "http.request", "body": self._body})

    async def is_held(self, waiting: int = 1) -> None:
        """Arrive, and return when so many polls wait."""
        await self.arrives()
        async with asyncio.timeout(WITHIN_S):
            while len(long_poll._waiting) < waiting:
                await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Hand over the rest of a body that has ended already, as a server may."""
        await self._server.send_input({"type": "http.request", "body": b"", "more_body": False})

    async def hangs_up(self) -> None:
        await self._server.send_input({"type": "http.disconnect"})
        await self._server.wait(WITHIN_S)

    async def answer(self) -> tuple[int, str, bool]:
        """Return status, error, and whether it says that it waited."""
        start = await self._server.receive_output(WITHIN_S)
        body = json.loads((await self._server.receive_output(WITHIN_S))["body"])
        return start["status"], body.get("error", ""), (b"preference-applied", b"wait") in start["headers"]

    async def is_silent(self) -> bool:
        """Return whether the application ends without a word."""
        await self._server.wait(WITHIN_S)
        return bool(await self._server.receive_nothing())


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on a loop of its own, as the server's. In a thread: a browser may have left a loop in this one."""

    async def played() -> None:
        await story()
        await nobody_waits()

    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(async_to_sync(played)).result()
        finally:
            thread.submit(connections.close_all).result()


async def nobody_waits() -> None:
    """Return when every place is free again."""
    async with asyncio.timeout(WITHIN_S):
        while long_poll._waiting:
            await asyncio.sleep(0.01)


async def do(verb: Callable[[], object]) -> None:
    """Let somebody else act, in another thread, as they would."""
    await sync_to_async(verb)()


AT_ONCE = (400, "authorization_pending", False)
LATER = timedelta(seconds=6)  # more than an interval: the next poll is not too early


# -- what wakes it ----------------------------------------------------------------------------------------------


def suspend(door: Door) -> None:
    suspend_agent(Agent.objects.get(pk=door.stage.agent.pk), reason="It stole.", by=BY, now=clock.now())


def withdraw_as_client(door: Door) -> None:
    # Over HTTP as the agent does it would need the id; the verb behind it needs the request.
    cancel(door.request(), by=door.courier.client_id, reason="client", now=clock.now())


@pytest.mark.parametrize(
    ("meanwhile", "answer"),
    [
        (Door.approve, (200, "", True)),
        (Door.deny, (400, "access_denied", True)),
        (withdraw_as_client, (400, "access_denied", True)),
        (suspend, (400, "access_denied", True)),
    ],
    ids=["yes", "no", "withdrawn", "agent suspended"],
)
def test_it_is_answered_when_it_is_decided(
    door: Door, meanwhile: Callable[[Door], None], answer: tuple[int, str, bool]
) -> None:
    held = Poll(door, door.asked())

    async def story() -> None:
        await held.is_held()
        await do(lambda: meanwhile(door))
        assert await held.answer() == answer

    play(story)


def test_what_is_left_of_a_body_is_no_hang_up(door: Door) -> None:
    held = Poll(door, door.asked())

    async def story() -> None:
        await held.is_held()
        await held.goes_on()
        await do(door.approve)
        assert await held.answer() == (200, "", True)

    play(story)


# -- who may wait -----------------------------------------------------------------------------------------------


def test_one_more_than_may_wait_is_answered_at_once(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "WAITERS_MAX", 2)
    first, second, third, fourth = (Poll(door, door.asked()) for _ in range(4))

    async def story() -> None:
        await first.is_held()
        await second.is_held(waiting=2)
        await third.arrives()
        assert await third.answer() == AT_ONCE
        await first.hangs_up()
        await fourth.is_held(waiting=2)  # there is room again
        await second.hangs_up()
        await fourth.hangs_up()

    play(story)


@pytest.mark.spec("CIBA Core 1.0", "10.1", "a client must not have two overlapping polls for one id")
def test_a_second_poll_for_one_id_does_not_wait_and_takes_nothing_from_the_first(door: Door) -> None:
    auth_req_id = door.asked()
    first, early = Poll(door, auth_req_id), Poll(door, auth_req_id)

    async def story() -> None:
        await first.is_held()
        await early.arrives()
        assert await early.answer() == (400, "slow_down", False)
        with clock.shifted(2 * LATER):
            patient = Poll(door, auth_req_id)
            await patient.arrives()
            assert await patient.answer() == AT_ONCE
        await do(door.approve)
        assert await first.answer() == (200, "", True)

    play(story)


def test_who_hangs_up_gives_up_its_place_and_may_come_back(door: Door) -> None:
    auth_req_id = door.asked()
    lost = Poll(door, auth_req_id)

    async def story() -> None:
        await lost.is_held()
        await lost.hangs_up()
        await nobody_waits()
        with clock.shifted(LATER):
            back = Poll(door, auth_req_id)
            await back.is_held()
            await do(door.approve)
            assert await back.answer() == (200, "", True)

    play(story)


def test_who_hung_up_before_the_first_answer_is_not_waited_for(door: Door) -> None:
    """Django then answers nobody: there is no answer that a better one could replace."""

    async def unheard(scope: Any, receive: Any, _send: Any) -> None:
        await get_asgi_application()(scope, receive, _nowhere)

    poll = Poll(door, door.asked(), app=long_poll.LongPoll(unheard))

    async def story() -> None:
        await poll.arrives()
        assert await poll.is_silent()

    play(story)


async def _nowhere(_message: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"auth_req_id": "another"}, 400, "invalid_grant"),
        ({"auth_req_id": ""}, 400, "invalid_request"),
        ({"client_assertion": "forged"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}, 200, ""),
    ],
    ids=["unknown id", "no id", "not the client", "another grant"],
)
def test_what_is_not_pending_is_answered_at_once(door: Door, changed: dict[str, str], status: int, error: str) -> None:
    poll = Poll(door, door.asked(), **changed)

    async def story() -> None:
        await poll.arrives()
        assert await poll.answer() == (status, error, False)

    play(story)


# -- what goes wrong meanwhile ----------------------------------------------------------------------------------


def test_a_poll_that_cannot_look_again_is_told_what_it_was_told_before(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("the database went away")

    auth_req_id = door.asked()
    held = Poll(door, auth_req_id)

    async def story() -> None:
        await held.is_held()
        with monkeypatch.context() as patch:
            patch.setattr(redemption, "redeem_decided", gone)
            await do(door.approve)
            assert await held.answer() == AT_ONCE
        with clock.shifted(LATER):  # nothing was granted, so nothing is lost
            again = Poll(door, auth_req_id)
            await again.arrives()
            assert (await again.answer())[0] == 200

    play(story)


def test_other_people_are_answered_while_many_wait(door: Door) -> None:
    """A held poll keeps neither thread nor connection."""
    polls = [Poll(door, door.asked()) for _ in range(8)]

    async def story() -> None:
        for number, poll in enumerate(polls, start=1):
            await poll.is_held(waiting=number)
        answer = await sync_to_async(lambda: door.courier.token(scope="accounts.read"))()
        assert answer.status_code == 200
        await asyncio.gather(*(poll.hangs_up() for poll in polls))

    play(story)
