"""Plan and apply: the whole file in one transaction, by the same verbs that pages and API call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction

from aims.console.configuration import authority, persons, registry, trust
from aims.console.configuration.change import Applying, Change
from aims.console.configuration.document import read

Section = Callable[[dict[str, Any], Applying], Iterator[Change]]
# What later sections name must be there before them. Policies name nothing and come first: who grants waits for a new
# one before it locks any row (aims/policy/latch.py), and so must we.
_ORDER: tuple[tuple[str, Section], ...] = (
    ("policies", authority.apply_policy),
    ("trust_domains", registry.apply_trust_domain),
    ("people", persons.apply_person),
    ("groups", persons.apply_group),
    ("trust_rules", registry.apply_trust_rule),
    ("agents", registry.apply_agent),
    ("resources", registry.apply_resource),
    ("trusted_servers", trust.apply_trusted_server),
    ("grants", authority.apply_grant),
)


def apply(raw: bytes, ctx: Applying) -> list[Change]:
    """Apply a file; all of it or nothing. The same file again changes nothing. Raises AimsError."""
    document = read(raw)
    with transaction.atomic():
        return [change for name, verb in _ORDER for item in document.get(name, []) for change in verb(item, ctx)]


def plan(raw: bytes, ctx: Applying) -> list[Change]:
    """Return what ``apply`` would change: it is applied, and taken back before anybody can see it."""
    with transaction.atomic():
        changes = apply(raw, ctx)
        transaction.set_rollback(True)
    return changes
