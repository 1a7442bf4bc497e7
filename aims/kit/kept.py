"""What a process has read and may read again from memory: bounded, a minute old at most, apart for every database.

Whoever acts on something kept makes the write depend on its version, so that the database has the last word.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from django.conf import settings

KEPT_S = 60.0
KEPT_MAX = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """A bounded memory. Safe between threads: every step is one operation on a dictionary."""

    def __init__(self, *, most: int = KEPT_MAX) -> None:
        self._most = most
        self._values: dict[tuple[str, K], tuple[float, V]] = {}
        _all.append(self)

    def get(self, key: K) -> V | None:
        """Return what was kept, None where there is nothing or it is too old."""
        found = self._values.get((_database(), key))
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def keep(self, key: K, value: V) -> V:
        """Keep and return a value; a full memory starts anew."""
        if len(self._values) >= self._most:
            self._values.clear()
        self._values[_database(), key] = (time.monotonic() + KEPT_S, value)
        return value

    def forget(self) -> None:
        """Drop everything."""
        self._values.clear()


_all: list[Kept[Any, Any]] = []


def forget_all() -> None:
    """Drop whatever this process keeps: between tests."""
    for kept in _all:
        kept.forget()


def _database() -> str:
    return str(settings.DATABASES["default"]["NAME"])
