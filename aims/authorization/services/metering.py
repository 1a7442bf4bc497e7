"""Budgets, metered in the write that issues: one conditional update a limit, so that the last unit has one taker.

Meters come last in the order of locks (``order.py``), among themselves by grant and unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, F, Q, Value, When

from aims.authorization import budget
from aims.authorization.errors import BudgetSpent
from aims.authorization.models import DelegationGrant, GrantMeter, GrantUse


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one token takes from one grant. amounts: its money in smallest units, by currency."""

    grant: DelegationGrant
    amounts: Mapping[str, int]


def shares_of(pairs: Iterable[tuple[DelegationGrant | None, Mapping[str, Any] | None]]) -> tuple[Share, ...]:
    """Return what a token takes from each grant that it rests on. pairs: a grant, and the detail that it covers.

    A detail that asks for several actions stands there as often; its money counts once a grant.
    """
    grants: dict[int, DelegationGrant] = {}
    details: dict[int, dict[int, Mapping[str, Any]]] = {}
    for grant, detail in pairs:
        if grant is None:
            continue
        grants[grant.pk] = grant
        held = details.setdefault(grant.pk, {})
        if detail is not None:
            held[id(detail)] = detail
    return tuple(Share(grant=grants[pk], amounts=budget.money_of(details[pk].values())) for pk in sorted(grants))


def is_metered(shares: Iterable[Share]) -> bool:
    """Return whether any of these grants has a budget. What is passed on never has a looser one than its parent."""
    return any(share.grant.budget for share in shares)


def with_room(
    candidates: Sequence[DelegationGrant], detail: Mapping[str, Any] | None, *, now: datetime
) -> DelegationGrant | None:
    """Return the first grant whose budget still has room, else the first; None where there is none."""
    if len(candidates) > 1 and candidates[0].budget:
        amounts = budget.money_of([detail] if detail else ())
        for grant in candidates:
            if _has_room(Share(grant=grant, amounts=amounts), now=now):
                return grant
    return candidates[0] if candidates else None


def charge(shares: Iterable[Share], *, now: datetime) -> None:
    """Take one token's share from every budget, those above included, in the caller's transaction.

    The caller holds the agent's row. Raises BudgetSpent, after which the transaction has to be taken back.
    """
    for (pk, unit), amount in sorted(_costs(shares).items()):
        window_at = budget.window_of(unit, now)
        is_now = Q(window_at=window_at)
        fits = GrantMeter.objects.filter(grant_id=pk, unit=unit).filter(
            (is_now & Q(used__lte=F("most") - amount)) | (~is_now & Q(most__gte=amount))
        )
        used = Case(When(window_at=window_at, then=F("used") + amount), default=Value(amount))
        if fits.update(used=used, window_at=window_at) != 1:
            raise BudgetSpent(detail=f"{pk} {unit}")


def note(shares: Iterable[Share], *, jti: str, now: datetime) -> None:
    """Write down which grants a token rests on, in the caller's transaction."""
    GrantUse.objects.bulk_create(
        GrantUse(grant=share.grant, jti=jti, at=now, amounts=dict(share.amounts)) for share in shares
    )


def set_limits(grant: DelegationGrant) -> None:
    """Make a grant's meters those of its budget; what was used stays used. In the caller's transaction."""
    limits = list(budget.limits_of(grant.budget))
    grant.meters.exclude(unit__in=[limit.unit for limit in limits]).delete()
    for limit in limits:
        start = budget.window_of(limit.unit, grant.given_at)
        GrantMeter.objects.update_or_create(
            grant=grant, unit=limit.unit, defaults={"most": limit.most},
            create_defaults={"most": limit.most, "window_at": start},
        )  # fmt: skip


def lineage_of(grant: DelegationGrant) -> list[DelegationGrant]:
    """Return a grant and those that it was passed on from, nearest first."""
    found = [grant]
    while (above := found[-1].parent) is not None:
        found.append(above)
    return found


def _costs(shares: Iterable[Share]) -> dict[tuple[int, str], int]:
    costs: dict[tuple[int, str], int] = {}
    for share in shares:
        for grant in lineage_of(share.grant) if share.grant.budget else ():
            for unit, amount in _cost(grant, share.amounts).items():
                key = (grant.pk, unit)
                is_money = unit in share.amounts
                costs[key] = costs.get(key, 0) + amount if is_money else amount  # one token is one use
    return costs


def _cost(grant: DelegationGrant, amounts: Mapping[str, int]) -> dict[str, int]:
    try:
        return budget.cost_under(grant.budget, amounts)
    except budget.BudgetRefused as error:
        raise BudgetSpent(detail=grant.ref) from error


def _has_room(share: Share, *, now: datetime) -> bool:
    try:
        costs = _costs([share])
    except BudgetSpent:
        return False
    meters = {
        (meter.grant_id, meter.unit): meter for meter in GrantMeter.objects.filter(grant__in={pk for pk, _ in costs})
    }
    return all(amount <= left_of(meters[key], now=now) for key, amount in costs.items())


def left_of(meter: GrantMeter, *, now: datetime) -> int:
    """Return how much of a limit is left now, in its unit."""
    is_now = meter.window_at == budget.window_of(meter.unit, now)
    return max(0, meter.most - (meter.used if is_now else 0))
