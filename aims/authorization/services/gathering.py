"""What shares a commit: the committers of this process (``aims.kit.committer``) and what they write with.

One writes tokens, one the proofs of those who ask about tokens: two fates, so that neither waits for the other's locks.
Whoever serves starts them; where they do not run, as in a command or a test, nothing here refuses anybody.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from threading import Thread

from django.db import DEFAULT_DB_ALIAS, connection, connections

from aims.authentication import replay
from aims.authorization.services import issuing, using
from aims.authorization.services.issuing import Issue, Outcome
from aims.authorization.services.using import Spent, Use
from aims.kit.committer import Committer
from aims.kit.prepared import is_possible

log = logging.getLogger(__name__)

CONNECT_S = 2
ANSWER_S = 5  # of the database to one batch, and of the network to what was sent; below what clients wait
_NETWORK = {"connect_timeout": CONNECT_S, "tcp_user_timeout": ANSWER_S * 1000, "keepalives_idle": ANSWER_S}
_SESSION = f"SET statement_timeout = {ANSWER_S * 1000}; SET synchronous_commit = on"
_DURABLE = "SELECT current_setting('synchronous_commit') <> 'off' AND current_setting('fsync') = 'on'"


class _OwnConnection:
    """What every writer begins with."""

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
        replay.begin()  # at once behind a crash of PostgreSQL, and not with the first who is refused for it


class _Tokens(_OwnConnection):
    """What writes tokens."""

    def write(self, rows: Sequence[Issue]) -> Sequence[Outcome]:
        """Write all in one transaction."""
        return issuing.in_one_statement(rows, waits=False) if is_possible() else issuing.in_one_transaction(rows)

    def find(self, rows: Sequence[Issue]) -> Sequence[Outcome | None]:
        """Return what became of rows that may have been written."""
        return issuing.find(rows)


class _Uses(_OwnConnection):
    """What writes the proofs of those who ask."""

    def write(self, rows: Sequence[Use]) -> Sequence[Spent]:
        """Write all in one transaction."""
        return using.together(rows)

    def find(self, rows: Sequence[Use]) -> Sequence[Spent | None]:
        """Return that nobody knows: whether a proof was spent by us or by who had it before, its row does not say."""
        return [None] * len(rows)


@dataclass(frozen=True)
class _Running:
    """The committers of a process."""

    tokens: Committer[Issue, Outcome]
    uses: Committer[Use, Spent]


_running: list[_Running] = []


def running() -> Committer[Issue, Outcome] | None:
    """Return what writes the tokens of this process, None where nothing was started."""
    here = _here()
    return here.tokens if here else None


def start() -> Committer[Issue, Outcome]:
    """Start the committers of this process, unless they run; they look at the database at once."""
    if not _running:
        _running.append(_Running(Committer(_Tokens(), name="tokens"), Committer(_Uses(), name="uses")))
        _running[0].tokens.start()
        _running[0].uses.start()
    return _running[0].tokens


def stop() -> None:
    """Write what waits, for at most ``committer.DRAIN_S``, and refuse the rest."""
    while _running:
        stopped = _running.pop()
        closing = [Thread(target=each.close) for each in (stopped.tokens, stopped.uses)]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()


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


def use(row: Use) -> bool:
    """Spend a proof, and record the use of its token if that counts; return whether it did. Raises ProofReplayed, Unavailable."""
    here = _here()
    outcome = here.uses.submit(row) if here else using.alone(row)
    if not outcome.is_fresh:
        raise replay.not_fresh(row.proof)
    return outcome.is_recorded


def admit() -> None:
    """Raise Unavailable where this process can't write tokens just now: asked before any proof is verified."""
    if here := _here():
        here.tokens.admit()


def admit_use() -> None:
    """Raise Unavailable where this process can't write uses just now: asked before any proof is verified."""
    if here := _here():
        here.uses.admit()


def is_ready() -> bool:
    """Return whether tokens and their uses can be written here, as far as is known."""
    here = _here()
    return here is None or (here.tokens.is_ready and here.uses.is_ready)


def _here() -> _Running | None:
    return next(iter(_running), None)
