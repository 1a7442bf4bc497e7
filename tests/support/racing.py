"""Two at once, on two real connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

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
