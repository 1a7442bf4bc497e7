"""The one clock. Faces and verbs ask it; pure functions get ``now`` handed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_offset: timedelta | None = None


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    moment = datetime.now(UTC)
    return moment if _offset is None else moment + _offset


def epoch_s() -> int:
    """Return the present moment as a NumericDate: whole seconds since 1970. Spec: RFC 7519 §2."""
    return int(now().timestamp())


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Move this process's clock for a block. For tests: the clock is the one thing that they may replace."""
    global _offset
    before = _offset
    _offset = (before or timedelta()) + by
    try:
        yield
    finally:
        _offset = before
