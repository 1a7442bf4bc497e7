"""The bell: tells open pages and waiting workers that there is something to look for. It carries no content.

A lost nudge means late, never wrong: pages refetch on reconnect, sweeps look at the tables on their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from enum import StrEnum

from django.db import transaction

log = logging.getLogger(__name__)


class Topic(StrEnum):
    """Everything a page or a worker can be woken for. Strings escape the import contracts, so they all live here."""

    INBOX = "inbox"  # to: person refs who may decide, whose request changed, or whose grant or tokens ended
    REQUEST = "request"  # to: approval request refs (long polls wait for this)
    LOG = "log"  # to: nobody in particular; pages of the log
    SESSION = "session"  # to: person refs whose sessions or rights changed
    PING = "ping"  # a notification is due: wakes the delivery sweep


Listener = Callable[[Topic, tuple[str, ...]], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Register a listener for this process. It must return at once and be safe to call from any thread."""
    if listener not in _listeners:
        _listeners.append(listener)


def nudge(topic: Topic, *, to: Iterable[str] = ()) -> None:
    """Ring after the current transaction has committed, or at once outside one. Never raises."""
    refs = tuple(to)
    transaction.on_commit(lambda: _ring(topic, refs), robust=True)


def _ring(topic: Topic, refs: tuple[str, ...]) -> None:
    for listener in _listeners:
        try:
            listener(topic, refs)
        except Exception:
            log.exception("a nudge was lost: %s", topic)
