"""How grants stand: what is left of their budgets, when they were last used, what hangs on them. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from aims.authorization import budget, queries
from aims.authorization.impact import Change
from aims.authorization.models import AccessToken, DelegationGrant, GrantMeter, GrantUse
from aims.authorization.services import trees

TOKENS_MAX = 100  # shown of one grant, the newest
CHILDREN_MAX = 100


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One limit of a budget as it stands. unit: of ``budget.Limit``. used, most: in its smallest unit."""

    unit: str
    used: int
    most: int

    @property
    def left(self) -> int:
        """How much may still be used; nothing where a narrower budget is overdrawn."""
        return max(0, self.most - self.used)


def gauges_of(grants: Iterable[DelegationGrant], *, now: datetime) -> dict[int, list[Gauge]]:
    """Return the limits of each grant's budget by the grant's primary key, in the order of the budget."""
    found: dict[int, list[Gauge]] = {}
    for meter in GrantMeter.objects.filter(grant__in=[grant.pk for grant in grants]).order_by("grant", "pk"):
        is_now = meter.window_at == budget.window_of(meter.unit, now)
        gauge = Gauge(unit=meter.unit, used=meter.used if is_now else 0, most=meter.most)
        found.setdefault(meter.grant_id, []).append(gauge)
    return found


def last_uses(grants: Iterable[DelegationGrant]) -> dict[int, datetime]:
    """Return when a token was last issued on each grant, by the grant's primary key; without one it is left out."""
    used = GrantUse.objects.filter(grant__in=[grant.pk for grant in grants])
    return dict(used.values_list("grant").annotate(Max("at")).values_list("grant", "at__max"))


def live_tokens(grant: DelegationGrant, *, now: datetime) -> list[AccessToken]:
    """Return the tokens that count now and rest on a grant, with what was exchanged for them; the newest 100."""
    jtis = GrantUse.objects.filter(grant=grant, at__gt=now - queries.TOKEN_LIFETIME_MAX).values("jti")
    rows = AccessToken.of_every_kind.filter(jti__in=jtis, revoked_at=None, expires__gt=now).order_by("-pk")[:TOKENS_MAX]
    found = {row.pk: row for row in rows}
    found |= {row.pk: row for row in trees.below(found.values(), now=now)}
    listed = AccessToken.of_every_kind.filter(pk__in=found).select_related("agent", "parent__agent")
    return list(listed.order_by("-pk")[:TOKENS_MAX])


def children_of(grant: DelegationGrant) -> list[DelegationGrant]:
    """Return what a grant was passed on as, the newest first; ended ones too."""
    return list(grant.children.select_related("agent", "resource", "from_person").order_by("-pk")[:CHILDREN_MAX])


def kept_besides(changes: Sequence[Change], *, now: datetime) -> list[DelegationGrant]:
    """Return the grants that go on covering some of what these changes take away, at the same agent and resource."""
    changed = {change.before.pk for change in changes}
    first = changes[0].before
    lost = _lost(changes[0])
    others = queries.grants_at(first.agent, first.resource.identifier, now=now)
    return [other for other in others if other.pk not in changed and lost & set(other.actions)]


def _lost(change: Change) -> set[str]:
    before, after = change.before, change.after
    if after is None or after.until_at < before.until_at or after.budget != before.budget:
        return set(before.actions)
    return set(before.actions) - set(after.actions)
