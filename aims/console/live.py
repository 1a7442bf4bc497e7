"""The bell of open pages. It carries no content: the page refetches, and permission stays in one place.

In one process the nudge goes to the server's own loop; scaled, one background loop per process speaks to Redis.
(``async_to_sync`` for each nudge costs 25 ms and a connection; an in-memory queue touched from another thread is
seen only at the loop's next tick.)
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Coroutine
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import close_old_connections
from redis.exceptions import RedisError

from aims.kit import bell, clock
from aims.kit.nudge import Topic, listen
from aims.people.models import SignedInSession

log = logging.getLogger(__name__)

EVERYBODY = "log"
PROCESSES = "processes"  # ASGI processes listen here for long polls
SESSION_ENDED = 4401
WRONG_ORIGIN = 4403
TOO_MANY = 4429
SOCKETS_MAX = 50  # of one person in one process: open pages, not a flood
JOIN_AGAIN_S = 3600  # Redis forgets who is in a group after a day
RETRY_S = 1
LOG_READERS = ("auditor", "admin")

_server_loop: asyncio.AbstractEventLoop | None = None
_open: Counter[str] = Counter()  # sockets by person; a zero stays, there are only so many people


class Bell(AsyncWebsocketConsumer):
    """One open page. It closes with the session, which is looked up again before each ring."""

    person_ref: str | None = None
    groups_joined: frozenset[str] = frozenset()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket, and count it while it is open, however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.person_ref is not None:
                _open[self.person_ref] -= 1

    async def connect(self) -> None:
        """Accept a page of our own origin whose person is signed in."""
        if [value for name, value in self.scope["headers"] if name == b"origin"] != [settings.ISSUER.encode()]:
            await self.close(WRONG_ORIGIN)
            return
        found = await _session_of(self.scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME, ""))
        if found is None:
            # Accepted first, so that the page can read the code and stop asking.
            await self.accept()
            await self.close(SESSION_ENDED)
            return
        person_ref, may_read_log = found
        if _open[person_ref] >= SOCKETS_MAX:
            await self.close(TOO_MANY)
            return
        self.person_ref = person_ref
        _open[person_ref] += 1
        await self._join(may_read_log)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave the groups."""
        for group in self.groups_joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what a page says: the bell has nothing to ask."""

    async def ring(self, message: dict[str, Any]) -> None:
        """Ring, if the session still stands; otherwise close with it."""
        found = await _session_of(self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, ""))
        if found is None or found[0] != self.person_ref:
            await self.close(SESSION_ENDED)
            return
        await self._join(may_read_log=found[1])
        if message["topic"] != Topic.LOG or found[1]:
            await self.send(json.dumps({"topic": message["topic"]}))

    async def _join(self, may_read_log: bool) -> None:
        """Listen for the person, and for the log as soon as and as long as they may read it."""
        wanted = frozenset({_group(str(self.person_ref))} | ({EVERYBODY} if may_read_log else set()))
        for group in wanted - self.groups_joined:
            await self.channel_layer.group_add(group, self.channel_name)
        for group in self.groups_joined - wanted:
            await self.channel_layer.group_discard(group, self.channel_name)
        self.groups_joined = wanted


class Nowhere(AsyncWebsocketConsumer):
    """Any other address: refused without a word, where the router would fill the log with stack traces."""

    async def connect(self) -> None:
        """Refuse."""
        await self.close()


@sync_to_async
def _session_of(session_key: str) -> tuple[str, bool] | None:
    """Return the person behind a session that stands, and whether they may read the log."""
    close_old_connections()
    session = (
        SignedInSession.objects.select_related("person").filter(session_key=session_key, person__is_active=True).first()
        if session_key
        else None
    )
    if session is None or not _stands(session_key):
        return None
    return session.person.ref, any(session.person.has_role(role) for role in LOG_READERS)


def _stands(session_key: str) -> bool:
    return Session.objects.filter(session_key=session_key, expire_date__gt=clock.now()).exists()


def connect() -> None:
    """Carry this process's nudges to open pages. Called by asgi, wsgi and the workers."""
    listen(carry)


def serve_on(loop: asyncio.AbstractEventLoop) -> None:
    """Tell the sender which loop serves the pages of this process."""
    global _server_loop
    _server_loop = loop


def carry(topic: Topic, refs: tuple[str, ...]) -> None:
    """Send a nudge on its way; returns at once, from any thread."""
    if topic == Topic.PING:
        return
    if settings.IS_SCALED and topic == Topic.REQUEST:
        _send(get_channel_layer().group_send(PROCESSES, {"type": "ring", "topic": topic, "refs": list(refs)}))
    for group in [EVERYBODY] if topic == Topic.LOG else [_group(ref) for ref in refs if topic != Topic.REQUEST]:
        _send(get_channel_layer().group_send(group, {"type": "ring", "topic": topic}))


async def listen_for_others() -> None:
    """Wake this process's long polls when another process nudges. Runs for as long as the server does."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    while True:
        try:
            await layer.group_add(PROCESSES, channel)
            async with asyncio.timeout(JOIN_AGAIN_S):
                await _pass_on(layer, channel)
        except TimeoutError:
            continue
        except (OSError, RedisError) as trouble:
            # While Redis is away bells are lost, and held polls are late. It must not stay so when it is back.
            log.warning("bells of other processes are not heard: %r", trouble)
            await asyncio.sleep(RETRY_S)


async def _pass_on(layer: Any, channel: str) -> None:
    while True:
        message = await layer.receive(channel)
        bell.ring(Topic(message["topic"]), tuple(message["refs"]))


def _group(ref: str) -> str:
    return f"person.{ref}"


def _send(coroutine: Coroutine[Any, Any, None]) -> None:
    loop = _background_loop() if settings.IS_SCALED else _server_loop
    if loop is None or loop.is_closed():
        coroutine.close()  # nobody is listening in this process
        return
    asyncio.run_coroutine_threadsafe(coroutine, loop).add_done_callback(_report)


def _report(sent: Any) -> None:
    if not sent.cancelled() and sent.exception():
        log.warning("a bell was lost: %r", sent.exception())


@cache
def _background_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="bell", daemon=True).start()
    return loop
