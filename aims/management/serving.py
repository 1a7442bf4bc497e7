"""How the server runs: one process with everything in it, or one of the processes of a scaled deployment."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import uvicorn
from django.conf import settings
from django.db import connections

from aims.authorization.services import gathering
from aims.celery import DELIVER_PINGS, app
from aims.console import live
from aims.console.jobs import Embedded, wake_deliveries

GRACE_S = 5
KEPT_ALIVE_S = (
    75  # longer than a proxy or client keeps an idle connection (60 s is common): who closes first must not be us
)
THREADS_MAX = 8  # of a machine process; each may hold one of the pool's connections


@runtime_checkable
class Pooled(Protocol):
    """A database wrapper that keeps a pool: PostgreSQL's does, SQLite's does not."""

    def close_pool(self) -> None: ...


def stop_on_sigterm() -> None:
    """Make SIGTERM unwind like Ctrl-C: uvicorn raises it again after its own shutdown, and no ``finally`` would run."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)


def serve_embedded(host: str, port: int, *, on_ready: Any = None) -> None:
    """Serve, work, tick and sequence in this one process until SIGTERM or Ctrl-C."""
    stop_on_sigterm()
    wake_deliveries(app, DELIVER_PINGS)
    jobs = Embedded(app)
    jobs.start()
    try:
        serve_pages(host, port, on_ready=on_ready)
    finally:
        jobs.stop()


def serve_scaled_pages(host: str, port: int) -> None:
    """Serve the pages of a scaled deployment until SIGTERM or Ctrl-C; decisions made here wake the workers at once."""
    stop_on_sigterm()
    wake_deliveries(app, DELIVER_PINGS)
    serve_pages(host, port)


def serve_pages(host: str, port: int, *, on_ready: Any = None) -> None:
    """Serve everything over ASGI in this process."""
    config = uvicorn.Config(
        "aims.asgi:application", host=host, port=port, log_level="warning", access_log=False,
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=GRACE_S, lifespan="off", ws_max_size=4096,
        timeout_keep_alive=KEPT_ALIVE_S,
    )  # fmt: skip
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:  # uvloop's, where it is installed
            runner.run(_serve(uvicorn.Server(config), on_ready))
    except KeyboardInterrupt:
        print("Stopping.", file=sys.stderr)


async def _serve(server: uvicorn.Server, on_ready: Any) -> None:
    live.serve_on(asyncio.get_running_loop())
    gathering.start()
    others = asyncio.create_task(live.listen_for_others()) if settings.IS_SCALED else None
    ready = asyncio.create_task(_tell(server, on_ready)) if on_ready else None
    try:
        await server.serve()
    finally:
        for task in (others, ready):
            if task:
                task.cancel()
        await asyncio.to_thread(gathering.stop)  # behind the last answer: uvicorn waits for those that it has begun


async def _tell(server: uvicorn.Server, on_ready: Any) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(on_ready)


def serve_machine(host: str, port: int, workers: int) -> None:
    """Serve the machine endpoints over WSGI: two to six times the requests of ASGI (measured)."""
    from granian import Granian
    from granian.constants import Interfaces

    threads = min(THREADS_MAX, 2 * multiprocessing.cpu_count() + 1)  # more would only wait for the interpreter
    close_databases()  # granian forks its workers
    Granian(
        "aims.wsgi:application", address=host, port=port, interface=Interfaces.WSGI, workers=workers,
        blocking_threads=threads, websockets=False, log_access=False, respawn_failed_workers=True,
    ).serve()  # fmt: skip


def close_databases() -> None:
    """Close every connection and pool: forked processes would share its sockets, and read each other's answers."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if isinstance(connection, Pooled):
            connection.close_pool()
