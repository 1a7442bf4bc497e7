"""The one who numbers entries: moves the inbox into the tree, signs what grew, and rings.

A single leader. On PostgreSQL a session lock keeps others waiting; the head row, locked in every transaction, is the
real guard, so two at once are slow, never wrong. On SQLite the IMMEDIATE transaction is both.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import Error, connection

from audit import checkpoints, partitions, tree
from audit.checkpoints import Published
from audit.errors import LogError, LogForked
from audit.models import Log
from audit.notes import Checkpoint
from audit.partitions import Month
from audit.write import committed, flush_failures

log = logging.getLogger(__name__)

POLL_S = 0.1  # for events of other processes; those of this one wake it at once
DRAIN_SPACING_S = 0.02  # under load, so that entries share a commit; the first one after a pause goes at once
CHECKPOINT_SPACING_S = 0.25
FLUSH_SPACING_S = 30
RETRY_S = 1.0
STANDBY_S = 0.25  # between two looks of one that waits to lead
FINISH_TRIES = 3
FORKED_RECHECK_S = 5.0
_LEADER_LOCK = 0x41494D53_4C4F47  # "AIMSLOG"


class Sequencer:
    """Numbers and signs. on_advance: called with the new global size after entries are durable.

    key: the checkpoint key; without it, it is read from its file, and again after trouble.
    outside: asked once at each start for what others, the witnesses, hold of the log.
    """

    def __init__(
        self,
        on_advance: Callable[[int], None] = lambda size: None,
        *,
        key: Ed25519PrivateKey | None = None,
        outside: Callable[[Log], Sequence[Published]] = lambda log: (),
    ) -> None:
        self._on_advance = on_advance
        self._outside = outside
        self._given_key = key
        self._key: Ed25519PrivateKey | None = key
        self._log: Log | None = None
        self._published: Checkpoint | None = None
        self._shown: Checkpoint | None = None
        self._signed_at = self._flushed_at = self._drained_at = 0.0
        self._is_unsigned = self._leads = False
        self._trouble = ""
        self._month: Month | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; then number and sign what is left, so that a clean end leaves nothing unsigned.

        Trouble of any kind is written where pages and ``readyz`` look, waited out, and tried again; it never ends the
        work. After a crash anywhere the next run goes on: what was not committed is still in the inbox.
        """
        while not stop.is_set():
            try:
                self._leads = self._is_leader()
                if self._leads:
                    self._turn(stop)
                else:
                    stop.wait(STANDBY_S)
            except Exception as error:
                stop.wait(self._stumble(error))
        self._finish()
        self._let_go()

    def run_once(self) -> int:
        """Number and sign everything that waits; return the global size. For tests, commands and shutdown."""
        self._open()
        while self._drain():
            pass
        self._sign()
        assert self._log is not None
        assert self._published is not None
        return self._log.base + self._published.size

    @property
    def leads(self) -> bool:
        """Whether this one numbers and signs at present; others wait."""
        return self._leads

    def heed(self, known: Checkpoint) -> None:
        """Sign nothing any more that does not continue a checkpoint which somebody showed, signed with our key.

        Called from another thread: the next signing looks at it.
        """
        self._shown = known
        committed.set()

    def _finish(self) -> None:
        for _ in range(FINISH_TRIES if self._leads else 0):
            try:
                self.run_once()
                return
            except LogError as error:
                self._stumble(error)
                return
            except Exception:
                log.exception("the last entries are not signed yet; if it stays so, the next start signs them")
                time.sleep(RETRY_S)

    def _turn(self, stop: threading.Event) -> None:
        self._open()
        while not stop.is_set():
            committed.wait(self._pause())
            stop.wait(max(0.0, self._drained_at + DRAIN_SPACING_S - time.monotonic()))
            committed.clear()  # before looking, so that a commit in between rings again
            while self._drain() and not self._is_due():
                pass
            if (self._is_unsigned or self._shown) and self._is_due():
                self._sign()
            self._flush()

    def _open(self) -> None:
        if self._log is None:
            self._make_months()
            self._key = self._given_key or checkpoints.load_log_key(checkpoints.key_path())
            opened = checkpoints.open_log(self._key)
            self._published = checkpoints.compare_copies(opened, self._outside(opened))
            self._is_unsigned = True
            Log.objects.filter(pk=opened.pk).exclude(trouble="").update(trouble="")
            self._log, self._trouble = opened, ""

    def _drain(self) -> bool:
        size = tree.drain()
        if size:
            self._is_unsigned, self._drained_at = True, time.monotonic()
            self._on_advance(size)
        return size > 0

    def _sign(self) -> None:
        assert self._log is not None
        assert self._key is not None
        if (shown := self._shown) and shown.origin == self._log.origin:
            checkpoints.must_still_continue(shown)
        self._shown = None
        self._published = checkpoints.sign(self._log, self._key, floor=self._published)
        self._signed_at, self._is_unsigned = time.monotonic(), False

    def _is_due(self) -> bool:
        return time.monotonic() - self._signed_at >= CHECKPOINT_SPACING_S

    def _pause(self) -> float:
        if not self._is_unsigned:
            return POLL_S
        due_in = self._signed_at + CHECKPOINT_SPACING_S - time.monotonic()
        return min(POLL_S, max(0.0, due_in))

    def _flush(self) -> None:
        if time.monotonic() - self._flushed_at >= FLUSH_SPACING_S:
            flush_failures(datetime.now(UTC))
            self._make_months()
            self._flushed_at = time.monotonic()

    def _make_months(self) -> None:
        """See that the months to come have their tables. Looks once a month."""
        now = max(datetime.now(UTC), tree.moment())
        if Month.of(now) != self._month:
            partitions.ensure(now)
            self._month = Month.of(now)

    def _stumble(self, error: Exception) -> float:
        """Forget what may be stale and say what is wrong; return how long to wait before the next try."""
        self._log = self._month = None
        code = _code(error)
        if code != self._trouble:  # a wait of hours is one line, not thousands
            log.critical("the audit log is not being signed (%s): %s", code, error, exc_info=error)
        self._trouble = code
        self._let_go()  # the connection may be the trouble
        try:
            Log.objects.filter(pk=checkpoints.current_log().pk).exclude(trouble=code).update(trouble=code)
        except Exception as another:
            log.debug("the trouble could not be stored either: %s", another)
        return FORKED_RECHECK_S if isinstance(error, LogForked) else RETRY_S

    def _let_go(self) -> None:
        """Give back the leader's lock and the connection. A pool would keep both alive."""
        if connection.vendor == "postgresql" and connection.connection is not None:
            with contextlib.suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
        connection.close()

    def _is_leader(self) -> bool:
        if connection.vendor != "postgresql":
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LEADER_LOCK])
            return bool(cursor.fetchone()[0])


def _code(error: Exception) -> str:
    if isinstance(error, LogError):
        return error.code
    return "storage" if isinstance(error, OSError) else "stalled"
