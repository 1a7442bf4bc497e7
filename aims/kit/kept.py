"""What a process has read and may read again from memory: bounded, a minute old at most, apart for every database.

Whoever acts on something kept makes the write depend on its version, so that the database has the last word. What was
made of things kept can be kept in its turn, for as long as each of them would be read from memory again (``noted``).
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.signals import setting_changed

KEPT_S = 60.0
KEPT_MAX = 10_000

_NOTHING = (0.0, object())  # is no value of any

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Sources:
    """What was read from memory for something that is made of it, and when the first of it is too old (monotonic)."""

    def __init__(self) -> None:
        self._read: list[tuple[dict[Any, tuple[float, object]], object, object]] = []
        self._until = float("inf")

    def add(self, values: dict[Any, Any], slot: object, entry: tuple[float, object]) -> None:
        """Note one reading. entry: as it stands in these values: until when, and what."""
        self._read.append((values, slot, entry[1]))
        self._until = min(self._until, entry[0])

    def are_current(self) -> bool:
        """Return whether every one of them would be read from memory again, the very same object."""
        is_young = time.monotonic() < self._until
        return is_young and all(values.get(slot, _NOTHING)[1] is value for values, slot, value in self._read)


class Kept(Generic[K, V]):
    """A bounded memory. Safe between threads: every step is one operation on a dictionary."""

    def __init__(self, *, most: int = KEPT_MAX) -> None:
        self._most = most
        self._values: dict[tuple[str, K], tuple[float, V]] = {}
        _all.append(self)

    def get(self, key: K) -> V | None:
        """Return what was kept, None where there is nothing or it is too old."""
        slot = (_database(), key)
        found = self._values.get(slot)
        if found is None or found[0] <= time.monotonic():
            return None
        if (sources := _noting.get()) is not None:
            sources.add(self._values, slot, found)
        return found[1]

    def keep(self, key: K, value: V) -> V:
        """Keep and return a value; a full memory starts anew."""
        if len(self._values) >= self._most:
            self._values.clear()
        slot, entry = (_database(), key), (time.monotonic() + KEPT_S, value)
        self._values[slot] = entry
        if (sources := _noting.get()) is not None:
            sources.add(self._values, slot, entry)
        return value

    def drop(self, key: K) -> None:
        """Forget one value, if it is kept."""
        self._values.pop((_database(), key), None)

    def forget(self) -> None:
        """Drop everything."""
        self._values.clear()


_all: list[Kept[Any, Any]] = []
_noting: ContextVar[Sources | None] = ContextVar("noting", default=None)


@contextmanager
def noted() -> Iterator[Sources]:
    """Note what is read from memory in this block, by this task or thread."""
    sources = Sources()
    token = _noting.set(sources)
    try:
        yield sources
    finally:
        _noting.reset(token)


def forget_all(**_said: object) -> None:
    """Drop whatever this process keeps: between tests, and where a setting changes, as only tests do it."""
    for kept in _all:
        kept.forget()


setting_changed.connect(forget_all)


def _database() -> str:
    return str(settings.DATABASES["default"]["NAME"])
