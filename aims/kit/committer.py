"""Group commit: one thread writes whatever has gathered while it wrote what came before, in one transaction.

There is no timer: an idle process writes a batch of one at once. A loop hands over together what it decides in turns that
each bring more, for LINGER_S at most. It knows no OAuth; what a row is, how many are written
and how one is found again is the writer's. Sharing a commit means sharing a fate, so every way to fail has its answer here:

- a row that the database refuses: the batch is halved until it stands alone, and the others are written;
- a deadlock: once more, then refused; a database that is down, a thread that dies: all who wait are refused, whoever
  comes is refused at once, and the process is not ready until a look at the database has gone well;
- a database that says nothing at all, so that no limit of its own or of the network ends the wait (its processes are
  stopped, its disk is gone): a second thread refuses all who wait, and whoever comes, until the first is answered;
- a connection lost around the commit: each row is looked up; what can't be found may or may not be there, and is refused;
- more than it can write: refused by ``admit``, which the caller asks before any work of its own;
- whoever waits goes away: its row is written all the same.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError

log = logging.getLogger(__name__)

QUEUE_MAX = 512  # rows that wait
BATCH_MAX = 256  # rows of one transaction
LINGER_S = 0.002  # of what a busy loop decided, for what it decides next: they share a commit
WAITED_MAX_S = 0.25  # by the oldest row that waits; then nobody else is let in
RETRY_S = 1  # between two looks at a database that is down; also what clients are told
DRAIN_S = 5.0  # for what waits when the process stops
SILENCE_MAX_S = 7.0  # of the database to one batch: above the limit that it sets itself, below what clients wait
WATCH_S = 0.5  # between two looks at the thread that writes
_MAY_RUN_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 an outcome
R_in = TypeVar("R_in", contravariant=True)
O_out = TypeVar("O_out", covariant=True)


class Unavailable(AimsError):
    """Not written, as far as we know: too much waits, or the database is away. Come again, with a new proof."""

    code = "temporarily_unavailable"
    public = _("The server can't take this just now. Try again shortly.")
    status = 503
    retry_after_s = RETRY_S


class Writer(Protocol[R_in, O_out]):
    """What a committer is given; all of it is called in its thread, on a connection of that thread."""

    def begin(self) -> None:
        """Connect anew, and raise where an answer could not be kept."""

    def write(self, rows: Sequence[R_in]) -> Sequence[O_out]:
        """Write the rows in one transaction; return an outcome for each, in their order."""

    def find(self, rows: Sequence[R_in]) -> Sequence[O_out | None]:
        """Return the outcome of each row that has been written, None for the others: after a lost connection."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[R]):
    """One row, since when it waits (seconds, monotonic), and who is told. loop: None for a thread."""

    row: R
    told: Future[object] | asyncio.Future[object]
    loop: asyncio.AbstractEventLoop | None
    since: float = field(default_factory=time.monotonic)


class Committer(Generic[R, O]):
    """Takes rows from any thread and any loop of this process, and answers each when it is durable."""

    def __init__(self, writer: Writer[R, O], *, name: str) -> None:
        self._writer, self._name = writer, name
        self._queue: deque[_Waiting[R]] = deque()
        self._arriving: dict[asyncio.AbstractEventLoop, list[_Waiting[R]]] = {}  # each touched by its loop alone
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._batch: Sequence[_Waiting[R]] = ()  # what is being written
        self._began = 0.0  # when that began, monotonic
        self._watcher: threading.Thread | None = None
        self._is_closed = False
        self.is_ready = True

    def admit(self) -> None:
        """Raise Unavailable where a row would be refused, or would wait too long. Ask it before any other work."""
        with self._changed:
            self._refuse()
            if self._queue and time.monotonic() - self._queue[0].since > WAITED_MAX_S:
                raise Unavailable(detail="rows have waited too long")

    def submit(self, row: R) -> O:
        """Return the outcome of a row once it is durable. Raises Unavailable, or what the database says of this row.

        RuntimeError inside a transaction: the row would be in another.
        """
        told: Future[O] = Future()
        self._put(_Waiting(row, told, None))  # type: ignore[arg-type]  # futures are invariant
        return told.result()

    async def submitted(self, row: R) -> O:
        """Return, as ``submit``, to whoever waits on a loop, where Django begins no transaction."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[O] = loop.create_future()
        arriving = self._arriving.setdefault(loop, [])
        if not arriving:  # behind all that is ready now: a commit costs more than a row, and a wake-up more than a list
            loop.call_soon(self._put_arrived, loop, 0)
        arriving.append(_Waiting(row, told, loop))  # type: ignore[arg-type]
        return await told

    def start(self) -> None:
        """Look at the database now and not with the first row."""
        with self._changed:
            self._begin()

    def close(self) -> None:
        """Take no more, write what waits for at most DRAIN_S, and refuse the rest."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread = self._thread
        if thread:
            thread.join(DRAIN_S)
        self._refuse_all([*self._batch, *self._drained()])

    def _put(self, waiting: _Waiting[R]) -> None:
        if connection.in_atomic_block:
            raise RuntimeError("a row that is submitted can't join a transaction")
        with self._changed:
            self._refuse()
            self._enqueue(waiting)

    def _put_arrived(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Put what a loop decided, unless its last turn brought more; refuse what there is no room for. before: how many it was."""
        arrived = self._arriving[loop]
        if len(arrived) > before and time.monotonic() - arrived[0].since < LINGER_S:
            loop.call_soon(self._put_arrived, loop, len(arrived))
            return
        refused = list[tuple[Future[object] | asyncio.Future[object], Unavailable]]()
        with self._changed:
            for waiting in self._arriving.pop(loop):
                try:
                    self._refuse()
                except Unavailable as full:
                    refused.append((waiting.told, full))
                else:
                    self._enqueue(waiting)
        for told, error in refused:
            _settle(told, error)

    def _enqueue(self, waiting: _Waiting[R]) -> None:
        self._begin()
        self._queue.append(waiting)
        self._changed.notify()

    def _refuse(self) -> None:
        if self._is_closed or not self.is_ready:
            raise Unavailable(detail=f"{self._name} is not ready")
        if len(self._queue) >= QUEUE_MAX:
            raise Unavailable(detail=f"{QUEUE_MAX} rows wait")

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name=f"{self._name} watch", daemon=True)
            self._watcher.start()

    def _watch(self) -> None:
        """Refuse all who wait for a database that says nothing; what it writes at last is told to nobody."""
        while not self._is_closed:
            time.sleep(WATCH_S)
            with self._changed:
                silent = self._batch if time.monotonic() - self._began > SILENCE_MAX_S else ()
                if silent and self.is_ready:
                    log.error("%s: the database says nothing; refused until it does", self._name)
                    self.is_ready = False
            if silent:
                self._refuse_all([*silent, *self._drained()])

    def _work(self) -> None:
        try:
            self._connect()
            while batch := self._gathered():
                self._began, self._batch = time.monotonic(), batch
                self._commit(batch)
                with self._changed:
                    self._batch = ()
                    self.is_ready = True  # it was not, where the database had said nothing for long
        except BaseException as death:  # even what is no Exception: nobody may wait for a thread that is gone
            log.critical("%s died: %s; starting anew", self._name, type(death).__name__)
        finally:
            connection.close()
            self._end()

    def _end(self) -> None:
        """Refuse all who wait, since their rows may be written or not; let another thread take over."""
        self.is_ready = False
        self._refuse_all([*self._batch, *self._drained()])
        self._batch = ()
        with self._changed:
            self._thread = None
            if not self._is_closed:
                self._begin()

    def _connect(self) -> None:
        """Come back when the database has been looked at and is well, or the process stops."""
        while not self._is_closed:
            try:
                self._writer.begin()
            except Exception as trouble:
                log.error("%s: the database does not answer: %s", self._name, type(trouble).__name__)
                self.is_ready = False
                self._refuse_all(self._drained())
                with self._changed:
                    self._changed.wait(RETRY_S)
            else:
                self.is_ready = True
                return

    def _gathered(self) -> list[_Waiting[R]]:
        """Wait for rows and return them, at most BATCH_MAX; nothing when the process stops and none are left."""
        with self._changed:
            while not self._queue and not self._is_closed:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]

    def _commit(self, batch: Sequence[_Waiting[R]]) -> None:
        try:
            outcomes = self._written(batch)
        except (OperationalError, InterfaceError) as trouble:
            log.error("%s: a batch of %d was not written: %s", self._name, len(batch), type(trouble).__name__)
            self._recover(batch)
        except Exception as refused:
            if len(batch) == 1:
                _tell([(batch[0], refused)])
                return
            middle = len(batch) // 2
            self._commit(batch[:middle])
            self._commit(batch[middle:])
        else:
            _tell(zip(batch, outcomes, strict=True))

    def _written(self, batch: Sequence[_Waiting[R]]) -> Sequence[O]:
        rows = [waiting.row for waiting in batch]
        try:
            return self._writer.write(rows)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _MAY_RUN_AGAIN:
                raise
            log.warning("%s: a batch of %d deadlocked", self._name, len(batch))
            return self._writer.write(rows)

    def _recover(self, batch: Sequence[_Waiting[R]]) -> None:
        """Find out what became of a batch, tell those whose rows are there, refuse the others."""
        self.is_ready = False
        try:
            self._writer.begin()
            found = self._writer.find([waiting.row for waiting in batch])
        except Exception:
            found = [None] * len(batch)
        _tell((waiting, Unavailable() if one is None else one) for waiting, one in zip(batch, found, strict=True))
        self._connect()

    def _drained(self) -> list[_Waiting[R]]:
        with self._changed:
            left = list(self._queue)
            self._queue.clear()
            return left

    def _refuse_all(self, waiting: Iterable[_Waiting[R]]) -> None:
        _tell((each, Unavailable()) for each in waiting)


def _tell(outcomes: Iterable[tuple[_Waiting[R], object]]) -> None:
    """Tell each its outcome, which may be an exception; every loop is woken once."""
    on_loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[object], object]]] = {}
    for waiting, outcome in outcomes:
        if isinstance(waiting.told, Future):
            _settle(waiting.told, outcome)
        elif waiting.loop:
            on_loops.setdefault(waiting.loop, []).append((waiting.told, outcome))
    for loop, told in on_loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle_all, told)


def _settle_all(told: Iterable[tuple[asyncio.Future[object], object]]) -> None:
    for future, outcome in told:
        _settle(future, outcome)


def _settle(future: Future[object] | asyncio.Future[object], outcome: object) -> None:
    if future.done():  # whoever asked went away, or was refused when the process stopped
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
