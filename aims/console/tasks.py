"""What the console wires together for others: the log's feeds reach their receivers by the one fetcher and its rules, and
its scheduled reports reach people by mail."""

from __future__ import annotations

import socket

from celery import shared_task

from aims.console.jobs import ask
from aims.console.reporting import READERS
from aims.kit import fetch
from audit.exports.schedules.running import sweep
from audit.feeds.delivering import Network, deliver_due, utc_now


@shared_task(name="audit.deliver_feeds")
def deliver_feeds() -> None:
    """Give every feed that is due what came since; what stays over is found by the next tick."""
    deliver_due(Network(ask=ask, connect=connect), now=utc_now)


@shared_task(name="audit.run_schedules")
def run_schedules() -> None:
    """Begin the reports of the log that are due, and tell who wants to know how they ended."""
    sweep(READERS, now=utc_now)


def connect(host: str, port: int, *, is_tls: bool) -> socket.socket:
    """Open a connection to a receiver. Raises: OSError where it may not or can't be reached."""
    try:
        return fetch.connect(host, port, is_tls=is_tls)
    except fetch.FetchRefused as error:
        raise ConnectionError(error.detail) from error
