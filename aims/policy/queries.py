"""Questions about policy."""

from __future__ import annotations

from functools import lru_cache

from aims.policy import engine
from aims.policy.engine import CompiledPolicy
from aims.policy.models import PolicyVersion


def active() -> CompiledPolicy | None:
    """Return the policy in force, parsed once per version; None where there is none, which ``evaluate`` denies."""
    row = PolicyVersion.objects.filter(is_active=True).values_list("number", "hash").first()
    return None if row is None else _compiled(*row)


@lru_cache(maxsize=8)
def _compiled(number: int, hash_: str) -> CompiledPolicy:
    """Parse a stored version. The hash is part of the key, so that two databases in one process never mix."""
    return engine.compile(PolicyVersion.objects.get(number=number, hash=hash_).text, version=number)
