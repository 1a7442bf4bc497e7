"""Long polling: a poll that says ``Prefer: wait=N`` is answered when the person decides. Under ASGI only.

The poll runs as any other: its proof is spent, it is counted, and where it ends in ``authorization_pending`` the view
leaves word here. Then Django is done with the request, its thread and connection are free, and only a coroutine waits.
A nudge that is lost makes it late, never wrong: when the time is over it looks once more.
Spec: RFC 7240 §4.3; CIBA Core 1.0 §10.1 allows to hold a poll, for at most 30 s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.request import parse_http_list

from django.db import Error, connections
from django.http import HttpResponse

from aims.authentication.bound import Bound
from aims.authorization.pipeline import Call, answer, error_response
from aims.authorization.request_errors import AuthorizationPending
from aims.authorization.services import redemption
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.bell import Waiting
from aims.kit.errors import AimsError
from aims.kit.nudge import Topic

log = logging.getLogger(__name__)

PATH = "/oauth/token"
WAIT_MAX_S = 25
WAITERS_MAX = 200  # in one process; whoever comes then is answered at once
ASK_AGAIN_S = 1  # a poll that was held for a whole interval may come back at once; 0 would make some clients spin
_WORD = "aims.held_poll"

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
T = TypeVar("T")


@dataclass(frozen=True)
class _Held:
    """The word that a view leaves: whose poll ended in pending, and for which id."""

    agent: Agent
    auth_req_id: str
    bound: Bound


_waiting: set[str] = set()  # the requests that a poll of this process waits for: one each


def may_be_held(call: Call) -> None:
    """Leave word that this call's poll is pending and may wait; nothing where the server can't hold it."""
    scope = getattr(call.request, "scope", {})
    agent, auth_req_id = call.client.agent, call.value("auth_req_id")
    if _WORD in scope and agent and auth_req_id:
        scope[_WORD] = _Held(agent, auth_req_id, call.client.bound)


class LongPoll:
    """ASGI around Django: holds back a pending answer until there is a better one, or the time is over."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait_s = wished_s(scope)
        if wait_s is None:
            await self._app(scope, receive, send)
            return
        started, messages = time.monotonic(), list[Message]()

        async def keep(message: Message) -> None:
            messages.append(message)

        scope[_WORD] = None
        await self._app(scope, receive, keep)
        held = scope[_WORD]
        if held and messages:  # no messages: the client hung up while Django worked, and Django answered nobody
            response = await _unless_gone(_better(held, started + wait_s), receive)
            messages = _replaced(messages, response) if response else messages
        for message in messages:
            await send(message)


def wished_s(scope: Scope) -> int | None:
    """Return how long the client wants to wait at the token endpoint, at most 25 s; None where it does not."""
    if scope["type"] != "http" or scope["path"] != PATH:
        return None
    said = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"prefer")
    for preference in parse_http_list(said):  # RFC 7240 §2: a list; what is quoted is one value
        name, _, wish = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":  # of several instances only the first is considered
            return _seconds(wish.strip().strip('"'))
    return None


def _seconds(wish: str) -> int | None:
    if not (wish.isascii() and wish.isdigit()):
        return None
    return WAIT_MAX_S if len(wish) > len(str(WAIT_MAX_S)) else min(int(wish), WAIT_MAX_S) or None


async def _unless_gone(better: Awaitable[HttpResponse | None], receive: Receive) -> HttpResponse | None:
    """Return the better answer; None, and nobody waits any more, where the client hangs up before."""
    waiting, gone = asyncio.ensure_future(better), asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    except asyncio.CancelledError:  # the server stops: what Django said is better than an answer that breaks off
        return None
    except Error:
        log.exception("a held poll could not look again; it is told that its request is pending, as it was")
        return None
    finally:
        waiting.cancel()
        gone.cancel()


async def _hung_up(receive: Receive) -> None:
    """Return when the client is gone; a server may hand over what is left of the body before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _better(held: _Held, deadline: float) -> HttpResponse | None:
    """Return the answer after waiting; None where this poll is not to be held."""
    waited = await _in_thread(lambda: redemption.awaited(held.agent, held.auth_req_id))
    if waited is None or waited.ref in _waiting or len(_waiting) >= WAITERS_MAX:
        return None  # CIBA §10.1: a client must not have two overlapping polls for one id
    _waiting.add(waited.ref)
    try:
        return await _decided(held, waited, deadline)
    finally:
        _waiting.discard(waited.ref)


async def _decided(held: _Held, waited: redemption.Awaited, deadline: float) -> HttpResponse:
    began = time.monotonic()
    async with Waiting(Topic.REQUEST, waited.ref) as bell:
        while True:
            if response := await _in_thread(lambda: _look(held)):
                return response
            left_s = min(deadline - time.monotonic(), (waited.expires_at - clock.now()).total_seconds() + 0.05)
            if left_s <= 0:
                break
            await bell.rings(left_s)
    again_s = max(ASK_AGAIN_S, waited.interval_s - round(time.monotonic() - began))
    return error_response(AuthorizationPending(retry_after_s=again_s))


def _look(held: _Held) -> HttpResponse | None:
    try:
        body = redemption.redeem_decided(held.agent, held.auth_req_id, bound=held.bound, now=clock.now())
    except AimsError as error:
        return error_response(error)
    return answer(body) if body else None


async def _in_thread(look: Callable[[], T]) -> T:
    def looked() -> T:
        try:
            return look()
        finally:
            connections.close_all()  # a thread of the loop's pool: nobody else would give its connection back

    return await asyncio.to_thread(looked)


def _replaced(messages: Iterable[Message], response: HttpResponse) -> list[Message]:
    """Return the messages of Django's answer with another status and body; its other headers stay."""
    start = next(message for message in messages if message["type"] == "http.response.start")
    response["Content-Length"] = str(len(response.content))
    response["Preference-Applied"] = "wait"  # RFC 7240 §3
    fresh = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    named = {name for name, _value in fresh} | {b"retry-after"}
    kept = [(name, value) for name, value in start["headers"] if name.lower() not in named]
    return [
        {"type": "http.response.start", "status": response.status_code, "headers": kept + fresh},
        {"type": "http.response.body", "body": response.content},
    ]
