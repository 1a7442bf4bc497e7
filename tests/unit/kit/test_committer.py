"""Group commit: what is gathered, what is refused, and that nobody waits in vain, whatever breaks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import DataError, OperationalError, transaction

from aims.kit import committer as kit
from aims.kit.committer import Committer, Unavailable

WITHIN_S = 10.0


class Deadlock(Exception):
    sqlstate = "40P01"


class Ledger:
    """A writer of numbers. Before each batch it does what the test says; ``go`` holds it back."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = 0
        self.is_down = False
        self.go = threading.Event()
        self.go.set()
        self.first: Callable[[Sequence[int]], None] = lambda rows: None

    def begin(self) -> None:
        self.began += 1
        if self.is_down:
            raise OperationalError("refused")

    def write(self, rows: Sequence[int]) -> list[int]:
        assert self.go.wait(WITHIN_S)
        self.first(rows)
        self.batches.append(list(rows))
        return [-row for row in rows]

    def find(self, rows: Sequence[int]) -> list[int | None]:
        written = {row for batch in self.batches for row in batch}
        return [-row if row in written else None for row in rows]

    def breaks_once(self, error: BaseException) -> None:
        def first(rows: Sequence[int]) -> None:
            self.first = lambda rows: None
            raise error

        self.first = first


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr(kit, "RETRY_S", 0.01)
    monkeypatch.setattr(kit, "DRAIN_S", 0.2)
    monkeypatch.setattr(kit, "WATCH_S", 0.01)
    return Ledger()


@pytest.fixture
def committer(ledger: Ledger) -> Iterator[Committer[int, int]]:
    made = Committer(ledger, name="numbers")
    yield made
    ledger.go.set()
    made.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as made:
        yield made


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def gathered(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor, rows: Sequence[int]
) -> list[Future[int]]:
    """Submit a row that is held back while it is written, and the others behind it; return these."""
    ledger.go.clear()
    pool.submit(committer.submit, 0)
    until(lambda: bool(committer._batch))
    behind = [pool.submit(committer.submit, row) for row in rows]
    until(lambda: len(committer._queue) == len(rows))
    return behind


def outcome(answer: Future[int]) -> int | type[BaseException]:
    error = answer.exception(WITHIN_S)
    return type(error) if error else answer.result()


def test_an_idle_process_writes_a_batch_of_one_at_once(committer: Committer[int, int], ledger: Ledger) -> None:
    assert [committer.submit(row) for row in (1, 2)] == [-1, -2]
    assert ledger.batches == [[1], [2]]


def test_what_gathers_meanwhile_is_one_batch(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    answers = gathered(committer, ledger, pool, range(1, 33))
    ledger.go.set()
    assert [outcome(answer) for answer in answers] == [-row for row in range(1, 33)]
    assert [len(batch) for batch in ledger.batches] == [1, 32]


def test_a_batch_has_a_most(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "BATCH_MAX", 8)
    answers = gathered(committer, ledger, pool, range(1, 21))
    ledger.go.set()
    assert [outcome(answer) for answer in answers] == [-row for row in range(1, 21)]
    assert [len(batch) for batch in ledger.batches] == [1, 8, 8, 4]


class Whole(Committer[int, int]):
    """What would be without halving."""

    def _commit(self, batch):  # type: ignore[no-untyped-def]
        try:
            kit._tell(zip(batch, self._written(batch), strict=True))
        except Exception as error:
            kit._tell((each, error) for each in batch)


def _no_sevens(rows: Sequence[int]) -> None:
    if 7 in rows:
        raise DataError("a seven")


@pytest.mark.parametrize("kind", [Committer, Whole])
def test_a_row_that_is_refused_fails_alone(
    ledger: Ledger, pool: ThreadPoolExecutor, kind: type[Committer[int, int]]
) -> None:
    ledger.first = _no_sevens
    committer = kind(ledger, name="numbers")
    answers = gathered(committer, ledger, pool, range(1, 33))
    ledger.go.set()
    failed = [row for row, answer in enumerate(answers, 1) if outcome(answer) is DataError]
    assert failed == ([7] if kind is Committer else list(range(1, 33)))
    committer.close()


def test_a_deadlock_runs_once_more(committer: Committer[int, int], ledger: Ledger) -> None:
    error = OperationalError("deadlock detected")
    error.__cause__ = Deadlock()
    ledger.breaks_once(error)
    assert committer.submit(1) == -1
    assert committer.is_ready


def test_two_deadlocks_refuse(committer: Committer[int, int], ledger: Ledger) -> None:
    def first(rows: Sequence[int]) -> None:
        error = OperationalError("deadlock detected")
        error.__cause__ = Deadlock()
        raise error

    ledger.first = first
    with pytest.raises(Unavailable):
        committer.submit(1)
    ledger.first = lambda rows: None
    until(lambda: committer.is_ready)
    assert committer.submit(2) == -2


@pytest.mark.parametrize("death", [SystemExit(), KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()])
def test_whoever_waits_for_a_thread_that_dies_is_refused_and_another_takes_over(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor, death: BaseException
) -> None:
    answers = gathered(committer, ledger, pool, range(1, 9))
    ledger.is_down = True
    ledger.breaks_once(death)
    ledger.go.set()
    if isinstance(death, Exception):  # that of one batch: a fault of its row, not of the thread
        assert {outcome(answer) for answer in answers} == {-row for row in range(1, 9)}
        return
    assert {outcome(answer) for answer in answers} == {Unavailable}
    assert not committer.is_ready
    with pytest.raises(Unavailable):
        committer.admit()
    ledger.is_down = False
    until(lambda: committer.is_ready)
    assert committer.submit(20) == -20


def test_while_the_database_is_down_everybody_is_refused_at_once_and_afterwards_nobody(
    committer: Committer[int, int], ledger: Ledger
) -> None:
    ledger.is_down = True
    with pytest.raises(Unavailable):
        committer.submit(1)
    began = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        committer.admit()
    assert time.monotonic() - began < 0.1
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    ledger.is_down = False
    until(lambda: committer.is_ready)
    assert committer.submit(2) == -2


def test_a_connection_lost_around_the_commit_is_looked_up(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    answers = gathered(committer, ledger, pool, range(1, 5))

    def first(rows: Sequence[int]) -> None:
        if 1 in rows:
            ledger.batches.append([1, 2])
            raise OperationalError("server closed the connection unexpectedly")

    ledger.first = first
    ledger.go.set()
    assert [outcome(answer) for answer in answers] == [-1, -2, Unavailable, Unavailable]
    assert ledger.began == 3
    until(lambda: committer.is_ready)


def test_whoever_waits_for_a_database_that_says_nothing_is_refused_until_it_does(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "SILENCE_MAX_S", 0.05)
    ledger.go.clear()
    first = pool.submit(committer.submit, 0)
    until(lambda: bool(committer._batch))
    behind = [pool.submit(committer.submit, row) for row in (1, 2)]
    assert {outcome(answer) for answer in [first, *behind]} == {Unavailable}
    with pytest.raises(Unavailable):
        committer.admit()
    assert not committer.is_ready
    ledger.go.set()
    until(lambda: committer.is_ready)
    assert committer.submit(3) == -3
    assert ledger.batches[0] == [0]  # it was written at last; its proof is spent, and whoever asked makes a new one


def test_too_many_are_refused_before_they_do_anything(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "QUEUE_MAX", 4)
    answers = gathered(committer, ledger, pool, range(1, 5))
    for refuses in (committer.admit, lambda: committer.submit(9)):
        with pytest.raises(Unavailable):
            refuses()
    ledger.go.set()
    assert [outcome(answer) for answer in answers] == [-1, -2, -3, -4]
    committer.admit()


def test_where_somebody_has_waited_too_long_nobody_else_is_let_in(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered(committer, ledger, pool, [1])
    committer.admit()
    monkeypatch.setattr(kit, "WAITED_MAX_S", 0.0)
    with pytest.raises(Unavailable):
        committer.admit()
    ledger.go.set()


async def test_a_row_is_written_though_whoever_asked_went_away(committer: Committer[int, int], ledger: Ledger) -> None:
    ledger.go.clear()
    asked = [asyncio.create_task(committer.submitted(row)) for row in (1, 2)]
    await asyncio.sleep(0.02)
    asked[0].cancel()
    ledger.go.set()
    assert await asked[1] == -2
    assert sorted(row for batch in ledger.batches for row in batch) == [1, 2]


async def test_a_loop_is_woken_once_for_a_batch(committer: Committer[int, int], ledger: Ledger) -> None:
    answers = await asyncio.gather(*(committer.submitted(row) for row in range(1, 101)))
    assert answers == [-row for row in range(1, 101)]
    assert len(ledger.batches) < 10


async def test_what_a_loop_decides_in_one_turn_is_one_batch(committer: Committer[int, int], ledger: Ledger) -> None:
    for turn in ((1, 2, 3), (4,), (5, 6)):
        await asyncio.gather(*(committer.submitted(row) for row in turn))
    assert ledger.batches == [[1, 2, 3], [4], [5, 6]]


@pytest.mark.parametrize(("linger_s", "is_one"), [(60, True), (0.01, False)])
async def test_turns_that_each_bring_more_share_a_commit_but_not_for_long(
    committer: Committer[int, int], ledger: Ledger, monkeypatch: pytest.MonkeyPatch, linger_s: float, is_one: bool
) -> None:
    monkeypatch.setattr(kit, "LINGER_S", linger_s)
    asked = []
    for row in range(20):
        asked.append(asyncio.create_task(committer.submitted(row)))
        await asyncio.sleep(0)
        time.sleep(0.005)  # what the loop decides in a turn
    assert await asyncio.gather(*asked) == [-row for row in range(20)]
    assert (len(ledger.batches) == 1) is is_one


async def test_a_loop_is_refused_only_what_there_is_no_room_for(
    committer: Committer[int, int], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "QUEUE_MAX", 4)
    answers = await asyncio.gather(*(committer.submitted(row) for row in range(1, 7)), return_exceptions=True)
    assert answers[:4] == [-1, -2, -3, -4]
    assert [type(answer) for answer in answers[4:]] == [Unavailable, Unavailable]
    assert await committer.submitted(7) == -7


def test_a_stop_writes_what_waits(committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    answers = gathered(committer, ledger, pool, range(1, 9))
    threading.Timer(0.05, ledger.go.set).start()
    committer.close()
    assert [outcome(answer) for answer in answers] == [-row for row in range(1, 9)]
    with pytest.raises(Unavailable):
        committer.submit(10)


def test_a_stop_does_not_wait_for_ever(
    committer: Committer[int, int], ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    answers = gathered(committer, ledger, pool, range(1, 9))
    began = time.monotonic()
    committer.close()
    assert time.monotonic() - began < 2
    assert {outcome(answer) for answer in answers} == {Unavailable}
    ledger.go.set()


@pytest.mark.django_db(transaction=True)
def test_a_row_cannot_join_a_transaction(committer: Committer[int, int]) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        committer.submit(1)
