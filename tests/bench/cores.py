"""Which core does what: the server and its PostgreSQL have one to themselves, clients another where there is one."""

from __future__ import annotations

import os

_ALL = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = _ALL[0], _ALL[-1]


def pin(core: int) -> None:
    """Keep the calling thread, and the threads and processes it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})
