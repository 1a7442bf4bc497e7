"""Questions about findings and rules. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, QuerySet

from aims.observability.models import Finding, FindingState, RuleProgress
from aims.observability.rules import RULES, Rule
from audit.read import Scope

LIST_MAX = 50
WAITING = (FindingState.OPEN, FindingState.ACKNOWLEDGED)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A rule and how it stands. index: of the last entry that it read, -1 for none. ran_at: None if never."""

    rule: Rule
    index: int
    hits: int
    ran_at: datetime | None
    waiting: int


def findings(scope: Scope) -> QuerySet[Finding]:
    """Return the findings that a reader of this part of the log may see, the newest first."""
    return scope.restrict(Finding.objects.all(), at="seen_at", agent="agent").order_by("-last_index", "-pk")


def found(
    scope: Scope, *, state: str = "", severity: str = "", rule: str = "", before: int | None = None
) -> Sequence[Finding]:
    """Return a page of findings, and one more where there are more. state: ``waiting`` for all that are not closed."""
    rows = findings(scope)
    if state == "waiting":
        rows = rows.filter(state__in=WAITING)
    elif state:
        rows = rows.filter(state=state)
    rows = rows.filter(severity=severity) if severity else rows
    rows = rows.filter(rule=rule) if rule else rows
    rows = rows.filter(last_index__lt=before) if before is not None else rows
    return list(rows[: LIST_MAX + 1])


def waiting_count(scope: Scope) -> int:
    """Return how many findings nobody has looked at."""
    return findings(scope).filter(state=FindingState.OPEN).count()


def standings() -> list[Standing]:
    """Return every rule with how far it has read and what it found."""
    progress = {(row.rule, row.version): row for row in RuleProgress.objects.all()}
    rows = Finding.objects.filter(state__in=WAITING).order_by().values_list("rule").annotate(Count("pk"))
    waiting = dict(rows)
    return [_standing(rule, progress.get((rule.id, rule.version)), waiting.get(rule.id, 0)) for rule in RULES.values()]


def _standing(rule: Rule, row: RuleProgress | None, waiting: int) -> Standing:
    return Standing(
        rule=rule,
        index=row.index if row else -1,
        hits=row.hits if row else 0,
        ran_at=row.ran_at if row else None,
        waiting=waiting,
    )
