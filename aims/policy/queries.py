"""Questions about policy."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from aims.kit.kept import Kept
from aims.policy import engine
from aims.policy.engine import CompiledPolicy, Decision, PolicyFacts
from aims.policy.models import PolicyVersion

_known: Kept[str, CompiledPolicy] = Kept()
_ACTIVE = "active"


def active(*, may_recall: bool = False) -> CompiledPolicy | None:
    """Return the policy in force, parsed once per version; None where there is none, which ``evaluate`` denies.

    may_recall: it may come from this process's memory; then the write depends on its number being active still.
    """
    if may_recall and (known := _known.get(_ACTIVE)):
        return known
    row = PolicyVersion.objects.filter(is_active=True).values_list("number", "hash").first()
    return None if row is None else _known.keep(_ACTIVE, _compiled(*row))


def active_version() -> PolicyVersion | None:
    """Return the row of the version in force, for pages."""
    return PolicyVersion.objects.filter(is_active=True).first()


def words_of(number: int, hash_: str, ids: Collection[str]) -> list[str]:
    """Return what these policies of a stored version say of themselves, by id where they say nothing.

    The hash picks the text, so what is shown is what decided. A version that is gone leaves the ids.
    """
    try:
        says = {rule.id: rule.says for rule in _compiled(number, hash_).rules.values()}
    except PolicyVersion.DoesNotExist:
        says = {}
    return [says.get(name) or name for name in ids]


def decide(facts: PolicyFacts, policy: CompiledPolicy | None) -> Decision:
    """Return what ``engine.evaluate`` says, remembered: it is pure, so the same facts have the same answer."""
    return engine.evaluate(facts, policy=None) if policy is None else _decided(facts, policy.version, policy.hash)


@lru_cache(maxsize=4096)
def _decided(facts: PolicyFacts, number: int, hash_: str) -> Decision:
    return engine.evaluate(facts, policy=_compiled(number, hash_))


@lru_cache(maxsize=8)
def _compiled(number: int, hash_: str) -> CompiledPolicy:
    """Parse a stored version. The hash is part of the key, so that two databases in one process never mix."""
    return engine.compile(PolicyVersion.objects.get(number=number, hash=hash_).text, version=number)
