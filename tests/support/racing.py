"""Two at once, on two real connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from aims.kit.errors import AimsError

ROUNDS = range(5)
WITHIN_S = 60


def at_once(*verbs: Callable[[], Any]) -> list[Any]:
    """Run the verbs in threads that start together; return what each answered, or the refusal it raised.

    Anything else that a verb raises, a deadlock above all, fails the test.
    """
    barrier = threading.Barrier(len(verbs))
    results: list[Any] = [AssertionError("it did not end")] * len(verbs)

    def run(index: int, verb: Callable[[], Any]) -> None:
        barrier.wait(WITHIN_S)
        try:
            results[index] = verb()
        except AimsError as refusal:
            results[index] = refusal
        except BaseException as error:
            results[index] = AssertionError(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    for result in results:
        if isinstance(result, AssertionError):
            raise result
    return results


def overtaken(winner: Callable[[], Any], loser: Callable[[], Any]) -> tuple[Any, Any]:
    """Run the loser while the winner has written and not committed, so that it looks before and locks behind it.

    Return both results, as ``at_once`` does. Fails where the loser does not wait for the winner. PostgreSQL only.
    """
    has_written, may_commit, has_ended = threading.Event(), threading.Event(), threading.Event()

    def hold() -> Any:
        try:
            with transaction.atomic():
                result = winner()
                has_written.set()
                assert may_commit.wait(WITHIN_S)
                return result
        finally:
            has_written.set()

    def follow() -> Any:
        assert has_written.wait(WITHIN_S)
        try:
            return loser()
        finally:
            has_ended.set()

    def let_go() -> None:
        try:
            deadline = time.monotonic() + WITHIN_S / 2
            while not _somebody_waits():
                assert not has_ended.is_set(), "the loser did not wait for the winner"
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            may_commit.set()

    won, lost, _nothing = at_once(hold, follow, let_go)
    return won, lost


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])
