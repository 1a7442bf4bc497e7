"""The bell inside a process: it rings after commit, wakes who waits, and never stands in anybody's way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync
from celery import Celery
from django.db import transaction

from aims.console.jobs import wake_deliveries
from aims.kit import bell, nudge
from aims.kit.nudge import Topic, listen

WITHIN_S = 10
real_transactions = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_listeners() -> Iterator[None]:
    kept = list(nudge._listeners)
    yield
    nudge._listeners[:] = kept


@pytest.fixture
def heard() -> list[tuple[Topic, tuple[str, ...]]]:
    rung: list[tuple[Topic, tuple[str, ...]]] = []
    listen(lambda topic, refs: rung.append((topic, refs)))
    return rung


def play(story: Callable[[], Awaitable[None]]) -> None:
    # In a thread of its own: whoever drives a browser leaves a running loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(async_to_sync(story)).result()


@real_transactions
def test_it_rings_after_the_commit_and_not_before(heard: list[tuple[Topic, tuple[str, ...]]]) -> None:
    with transaction.atomic():
        nudge.nudge(Topic.INBOX, to=iter(["usr_1", "usr_2"]))
        assert heard == []
    assert heard == [(Topic.INBOX, ("usr_1", "usr_2"))]


@real_transactions
def test_what_was_rolled_back_never_rings(heard: list[tuple[Topic, tuple[str, ...]]]) -> None:
    with transaction.atomic():
        nudge.nudge(Topic.INBOX, to=["usr_1"])
        transaction.set_rollback(True)
    assert heard == []


@real_transactions
def test_a_listener_that_fails_silences_nobody(
    heard: list[tuple[Topic, tuple[str, ...]]], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(topic: Topic, refs: tuple[str, ...]) -> None:
        raise ConnectionError

    nudge._listeners.insert(0, broken)
    nudge.nudge(Topic.LOG)
    assert heard == [(Topic.LOG, ())]
    assert "a nudge was lost: log" in caplog.text


def test_a_listener_listens_once() -> None:
    def listener(topic: Topic, refs: tuple[str, ...]) -> None: ...

    before = len(nudge._listeners)
    listen(listener)
    listen(listener)
    assert len(nudge._listeners) == before + 1


def test_who_waits_is_woken_from_another_thread() -> None:
    async def story() -> None:
        async with bell.Waiting(Topic.REQUEST, "apr_1") as waiting:
            threading.Thread(target=bell.ring, args=(Topic.REQUEST, ("apr_1",))).start()
            assert await waiting.rings(WITHIN_S)

    play(story)


def test_a_bell_between_the_look_and_the_wait_is_not_lost() -> None:
    async def story() -> None:
        async with bell.Waiting(Topic.REQUEST, "apr_1") as waiting:
            bell.ring(Topic.REQUEST, ("apr_1",))
            await asyncio.sleep(0)  # here it looks at the database
            assert await waiting.rings(WITHIN_S)

    play(story)


@pytest.mark.parametrize(("topic", "ref"), [(Topic.INBOX, "apr_1"), (Topic.REQUEST, "apr_2")])
def test_another_bell_wakes_nobody(topic: Topic, ref: str) -> None:
    async def story() -> None:
        async with bell.Waiting(Topic.REQUEST, "apr_1") as waiting:
            bell.ring(topic, (ref,))
            assert not await waiting.rings(0.05)

    play(story)


def test_one_ring_wakes_all_who_wait_and_only_once() -> None:
    async def story() -> None:
        async with bell.Waiting(Topic.REQUEST, "apr_1") as one, bell.Waiting(Topic.REQUEST, "apr_1") as two:
            bell.ring(Topic.REQUEST, ("apr_1", "apr_1"))
            assert await one.rings(WITHIN_S) and await two.rings(WITHIN_S)
            assert not await one.rings(0.05)

    play(story)


def test_wait_for_is_true_when_it_rings_and_false_when_time_is_over() -> None:
    async def story() -> None:
        waiting = asyncio.create_task(bell.wait_for(Topic.REQUEST, "apr_1", WITHIN_S))
        await asyncio.sleep(0)
        bell.ring(Topic.REQUEST, ("apr_1",))
        assert await waiting is True
        assert await bell.wait_for(Topic.REQUEST, "apr_1", 0) is False

    play(story)


def test_nothing_is_kept_of_who_stopped_waiting() -> None:
    async def story() -> None:
        task = asyncio.create_task(bell.wait_for(Topic.REQUEST, "apr_1", WITHIN_S))
        await asyncio.sleep(0)
        assert bell._waiters
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await bell.wait_for(Topic.REQUEST, "apr_2", 0)
        assert not bell._waiters

    play(story)


def test_a_loop_that_is_gone_does_not_hurt() -> None:
    async def story() -> None:
        await bell.Waiting(Topic.REQUEST, "apr_gone").__aenter__()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(story())).result()
    bell.ring(Topic.REQUEST, ("apr_gone",))
    bell._waiters.clear()


@real_transactions
def test_a_ping_that_is_due_wakes_the_delivery_and_other_bells_do_not() -> None:
    app = Celery(broker="memory://localhost/")
    wake_deliveries(app, "a.sweep")
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        nudge.nudge(Topic.INBOX, to=["usr_1"])
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.2)
        nudge.nudge(Topic.PING)
        message = queue.get(timeout=WITHIN_S)
        assert message.headers["task"] == "a.sweep"
        message.ack()
