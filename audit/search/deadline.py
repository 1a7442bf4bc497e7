"""The time that an interactive search may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from audit.search.errors import TooBroad
from audit.search.syntax import Query

TIMEOUT_S = 5.0  # of an interactive search as a whole; a statement is cut off on PostgreSQL only
_CANCELED = "57014"  # SQLSTATE query_canceled


class Deadline:
    """What is left of TIMEOUT_S for one search, from now on."""

    def __init__(self, query: Query) -> None:
        self._query, self._ends = query, time.monotonic() + TIMEOUT_S

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Run statements in the time that is left. Raises: TooBroad."""
        left_ms = int((self._ends - time.monotonic()) * 1_000)
        if left_ms <= 0:
            raise self._too_broad()
        if connection.vendor != "postgresql":
            yield
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(left_ms)])
                yield
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")  # for a transaction around this one
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") == _CANCELED:
                raise self._too_broad() from error
            raise

    def _too_broad(self) -> TooBroad:
        message = f"This search takes longer than {TIMEOUT_S:.0f} seconds. Narrow it by time (after:7d), agent, type or resource."
        text = str(self._query)
        return TooBroad(message, text, 0, len(text))
