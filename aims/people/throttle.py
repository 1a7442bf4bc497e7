"""Counters that slow guessing down: one a minute for each address and each key, in the shared cache."""

from __future__ import annotations

from datetime import datetime

from django.core.cache import cache

from aims.kit.ids import digest
from aims.people.errors import TooManyAttempts

WINDOW_S = 60
BEGINS_PER_MINUTE = 60  # the page begins once by itself, for autofill; many people may share an address
FINISHES_PER_MINUTE = 20
PER_KEY_PER_MINUTE = 10


def spend(kind: str, subject: str, *, limit: int, now: datetime) -> None:
    """Count one attempt in this minute. Raises TooManyAttempts past the limit. The cache sees only a hash."""
    window = int(now.timestamp()) // WINDOW_S
    name = f"people-{kind}-{window}-{digest(subject)}"
    cache.add(name, 0, timeout=2 * WINDOW_S)
    try:
        count = cache.incr(name)
    except ValueError:  # evicted between the two calls: a full cache must not lock people out
        return
    if count > limit:
        raise TooManyAttempts
