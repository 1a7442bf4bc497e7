"""Waiting for a nudge: what a long poll does between two looks at the database. Lost means late, never wrong."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict

from aims.kit.nudge import Topic, listen

Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]
_waiters: dict[tuple[Topic, str], set[Waiter]] = defaultdict(set)
_lock = threading.Lock()


class Waiting:
    """``async with Waiting(Topic.REQUEST, ref) as bell``: look at the database, then ``await bell.rings(25)``.

    It listens from the moment it is entered, so a nudge between the look and the wait is not lost.
    """

    def __init__(self, topic: Topic, ref: str) -> None:
        self._key = (topic, ref)
        self._event = asyncio.Event()

    async def __aenter__(self) -> Waiting:
        self._waiter = (asyncio.get_running_loop(), self._event)
        with _lock:
            _waiters[self._key].add(self._waiter)
        return self

    async def __aexit__(self, *trouble: object) -> None:
        with _lock:
            _waiters[self._key].discard(self._waiter)
            if not _waiters[self._key]:
                del _waiters[self._key]

    async def rings(self, timeout_s: float) -> bool:
        """Return True as soon as it rings, False after the time is over."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return False
        self._event.clear()
        return True


async def wait_for(topic: Topic, ref: str, timeout_s: float) -> bool:
    """Return True as soon as ``ref`` is nudged, False after the time is over."""
    async with Waiting(topic, ref) as bell:
        return await bell.rings(timeout_s)


def ring(topic: Topic, refs: tuple[str, ...]) -> None:
    """Wake whoever waits in this process. Safe from any thread; for nudges that came from other processes too."""
    with _lock:
        found = [waiter for ref in refs for waiter in _waiters.get((topic, ref), ())]
    for loop, event in found:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)


listen(ring)
