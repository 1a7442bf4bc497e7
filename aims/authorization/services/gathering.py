"""Tokens that share a commit: the committer of this process (``aims.kit.committer``) and what it writes with.

Whoever serves starts it; where it does not run, as in a command or a test, nothing here refuses anybody.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy

from django.db import DEFAULT_DB_ALIAS, connection, connections

from aims.authorization.services import issuing
from aims.authorization.services.issuing import Issue, Outcome
from aims.kit.committer import Committer
from aims.kit.prepared import is_possible

log = logging.getLogger(__name__)

CONNECT_S = 2
ANSWER_S = 5  # of the database to one batch, and of the network to what was sent; below what clients wait
_NETWORK = {"connect_timeout": CONNECT_S, "tcp_user_timeout": ANSWER_S * 1000, "keepalives_idle": ANSWER_S}
_SESSION = f"SET statement_timeout = {ANSWER_S * 1000}; SET synchronous_commit = on"
_DURABLE = "SELECT current_setting('synchronous_commit') <> 'off' AND current_setting('fsync') = 'on'"


class _Tokens:
    """What the committer writes with."""

    def begin(self) -> None:
        """Connect anew, outside the pool: this connection is kept, and its session is its own."""
        connection.close()
        if not is_possible():
            connection.ensure_connection()  # SQLite: init_command makes every commit wait for the disk
            return
        apart = deepcopy(connection.settings_dict)
        apart["OPTIONS"] = {name: each for name, each in apart["OPTIONS"].items() if name != "pool"} | _NETWORK
        connections[DEFAULT_DB_ALIAS] = type(connections[DEFAULT_DB_ALIAS])(apart, DEFAULT_DB_ALIAS)
        with connection.cursor() as cursor:
            cursor.execute(_SESSION)
            cursor.execute(_DURABLE)
            if not cursor.fetchone()[0]:
                log.warning(
                    "PostgreSQL does not wait for its disk (fsync is off): a crash takes back what was answered"
                )

    def write(self, rows: Sequence[Issue]) -> Sequence[Outcome]:
        """Write all in one transaction."""
        return issuing.in_one_statement(rows, waits=False) if is_possible() else issuing.in_one_transaction(rows)

    def find(self, rows: Sequence[Issue]) -> Sequence[Outcome | None]:
        """Return what became of rows that may have been written."""
        return issuing.find(rows)


_running: list[Committer[Issue, Outcome]] = []


def running() -> Committer[Issue, Outcome] | None:
    """Return the committer of this process, None where none was started."""
    return _running[0] if _running else None


def start() -> Committer[Issue, Outcome]:
    """Start the committer of this process, unless it runs; it looks at the database at once."""
    if not _running:
        _running.append(Committer(_Tokens(), name="tokens"))
        _running[0].start()
    return _running[0]


def stop() -> None:
    """Write what waits, for at most ``committer.DRAIN_S``, and refuse the rest."""
    while _running:
        _running.pop().close()


def issue(row: Issue) -> None:
    """Write a token together with whatever else comes just now, from a thread. Raises as ``issuing.judge``; Unavailable, BudgetSpent.

    Whose agent is being changed is written by itself, as that waits.
    """
    outcome = written(row)
    issuing.judge(row, outcome if outcome.is_as_seen else issuing.alone(row, waits=True))


def written(row: Issue) -> Outcome:
    """Return what became of a row: written together with others, or by itself where nothing gathers or a budget is metered."""
    committer = running()
    return issuing.alone(row, waits=False) if committer is None or row.is_metered else committer.submit(row)


def admit() -> None:
    """Raise Unavailable where this process can't write tokens just now: asked before any proof is verified."""
    if committer := running():
        committer.admit()


def is_ready() -> bool:
    """Return whether tokens can be written here, as far as is known."""
    committer = running()
    return committer is None or committer.is_ready
