"""The one who numbers entries: moves the inbox into the tree, signs what grew, and rings.

A single leader. On PostgreSQL a session lock keeps others waiting; the head row, locked in every transaction, is the
real guard, so two at once are slow, never wrong. On SQLite the IMMEDIATE transaction is both.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection

from audit import checkpoints, tree
from audit.errors import LogForked
from audit.models import Log
from audit.notes import Checkpoint
from audit.write import committed, flush_failures

log = logging.getLogger(__name__)

POLL_S = 0.1  # for events of other processes; those of this one wake it at once
CHECKPOINT_SPACING_S = 0.5
FLUSH_SPACING_S = 30
RETRY_S = 1.0
FORKED_RECHECK_S = 5.0
_LEADER_LOCK = 0x41494D53_4C4F47  # "AIMSLOG"


class Sequencer:
    """Numbers and signs. on_advance: called with the new global size after entries are durable.

    key: the checkpoint key, from its file unless given.
    """

    def __init__(
        self, on_advance: Callable[[int], None] = lambda size: None, *, key: Ed25519PrivateKey | None = None
    ) -> None:
        self._on_advance = on_advance
        self._key = key or checkpoints.load_log_key(checkpoints.key_path())
        self._log: Log | None = None
        self._published: Checkpoint | None = None
        self._signed_at = self._flushed_at = 0.0
        self._is_unsigned = False

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop. Trouble with the database is waited out; a forked log stops the work, not the wait.

        After a crash anywhere the next run goes on: what was not committed is still in the inbox.
        """
        while not stop.is_set():
            try:
                if self._is_leader():
                    self._turn(stop)
                else:
                    stop.wait(RETRY_S)
            except LogForked as error:
                self._report(error)
                stop.wait(FORKED_RECHECK_S)
            except (DatabaseError, OSError):
                log.exception("the sequencer waits for its storage")
                connection.close()
                self._log = None
                stop.wait(RETRY_S)
        connection.close()  # gives the leader's lock back

    def run_once(self) -> int:
        """Number and sign everything that waits; return the global size. For tests, commands and shutdown."""
        self._open()
        while self._drain():
            pass
        self._sign()
        assert self._log and self._published
        return self._log.base + self._published.size

    def _turn(self, stop: threading.Event) -> None:
        self._open()
        while not stop.is_set():
            committed.wait(self._pause())
            committed.clear()  # before looking, so that a commit in between rings again
            while self._drain() and not self._is_due():
                pass
            if self._is_unsigned and self._is_due():
                self._sign()
            self._flush()

    def _open(self) -> None:
        if self._log is None:
            opened = checkpoints.open_log(self._key)
            self._published = checkpoints.compare_copies(opened)
            self._is_unsigned = True
            Log.objects.filter(pk=opened.pk).exclude(trouble="").update(trouble="")
            self._log = opened

    def _drain(self) -> bool:
        size = tree.drain()
        if size:
            self._is_unsigned = True
            self._on_advance(size)
        return size > 0

    def _sign(self) -> None:
        assert self._log
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
            self._flushed_at = time.monotonic()

    def _report(self, error: LogForked) -> None:
        log.critical("the audit log must not be signed: %s", error)
        Log.objects.filter(pk=checkpoints.current_log().pk).update(trouble=error.code)
        self._log = None

    def _is_leader(self) -> bool:
        if connection.vendor != "postgresql":
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LEADER_LOCK])
            return bool(cursor.fetchone()[0])
