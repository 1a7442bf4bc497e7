"""How much a grant allows: how often, how fast, and how much money. Pure.

A budget is a JSON object, and what it does not name is not limited: ``count`` (tokens in all), ``per_hour`` and
``per_day`` (tokens in a clock hour or day, UTC), ``amounts`` (money by currency, as text). Where it names any currency,
money in another one is not allowed at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aims.authorization.cards import money

COUNT_MAX = 1_000_000
CURRENCIES_MAX = 16
USES, HOUR, DAY = "uses", "hour", "day"
_COUNTS = {"count": USES, "per_hour": HOUR, "per_day": DAY}
_WINDOWS_S = {HOUR: 3600, DAY: 86_400}
_MONEY_TYPE = "payment_initiation"


class BudgetRefused(Exception):
    """This is no budget. The text says why."""


@dataclass(frozen=True)
class Limit:
    """One thing that is metered. unit: uses, hour, day, or a currency; most: in its smallest unit."""

    unit: str
    most: int


def checked(budget: Mapping[str, Any]) -> dict[str, Any]:
    """Return the budget without members that limit nothing. Raises BudgetRefused."""
    if not set(budget) <= {*_COUNTS, "amounts"}:
        raise BudgetRefused("A budget may name count, per_hour, per_day and amounts.")
    kept = {name: budget[name] for name in _COUNTS if budget.get(name) is not None}
    if not all(type(count) is int and 1 <= count <= COUNT_MAX for count in kept.values()):
        raise BudgetRefused(f"How often is a whole number from 1 to {COUNT_MAX:,}.")
    amounts = budget.get("amounts") or {}
    if not isinstance(amounts, Mapping) or len(amounts) > CURRENCIES_MAX:
        raise BudgetRefused(f"Amounts name at most {CURRENCIES_MAX} currencies.")
    for currency, amount in amounts.items():
        if not money.is_currency(currency) or not isinstance(amount, str) or not money.is_amount(amount, currency):
            raise BudgetRefused("An amount is a currency code and a plain decimal, such as EUR 25000.00.")
    return kept | ({"amounts": dict(sorted(amounts.items()))} if amounts else {})


def limits_of(budget: Mapping[str, Any]) -> Iterator[Limit]:
    """Yield what a budget meters."""
    yield from (Limit(unit, budget[name]) for name, unit in _COUNTS.items() if name in budget)
    for currency, amount in budget.get("amounts", {}).items():
        yield Limit(currency, money.in_minor_units(amount, currency))


def money_of(details: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the money that typed details speak of, in the smallest unit of each currency."""
    total: dict[str, int] = {}
    for detail in details:
        if detail.get("type") == _MONEY_TYPE:
            amount = detail["instructedAmount"]
            currency = amount["currency"]
            total[currency] = total.get(currency, 0) + money.in_minor_units(amount["amount"], currency)
    return total


def cost_under(budget: Mapping[str, Any], amounts: Mapping[str, int]) -> dict[str, int]:
    """Return what one token with this money costs by unit, as far as the budget meters it.

    Raises BudgetRefused where the money is in a currency that the budget leaves out.
    """
    known = budget.get("amounts", {})
    if known and not set(amounts) <= set(known):
        raise BudgetRefused("The budget holds no money in this currency.")
    uses = {unit: 1 for name, unit in _COUNTS.items() if name in budget}
    return uses | {currency: amount for currency, amount in amounts.items() if currency in known}


def window_of(unit: str, now: datetime) -> datetime:
    """Return when the clock hour or day of this unit began; for what counts for good, the epoch."""
    length_s = _WINDOWS_S.get(unit)
    start_s = int(now.timestamp()) // length_s * length_s if length_s else 0
    return datetime.fromtimestamp(start_s, UTC)


def is_within(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    """Return whether a budget limits at least as much as another."""
    counts = all(name in inner and inner[name] <= outer[name] for name in _COUNTS if name in outer)
    return counts and _is_money_within(inner.get("amounts", {}), outer.get("amounts", {}))


def lesser(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the largest budget within both; None where they share no currency."""
    least = {name: min(b[name] for b in (one, other) if name in b) for name in _COUNTS if name in one or name in other}
    mine, theirs = one.get("amounts", {}), other.get("amounts", {})
    if not (mine and theirs):
        amounts = mine or theirs
        return least | ({"amounts": dict(amounts)} if amounts else {})
    shared = {code: _smaller(mine[code], theirs[code], code) for code in sorted(set(mine) & set(theirs))}
    return least | {"amounts": shared} if shared else None


def _is_money_within(inner: Mapping[str, str], outer: Mapping[str, str]) -> bool:
    if not outer:
        return True
    return bool(inner) and all(
        code in outer and money.in_minor_units(amount, code) <= money.in_minor_units(outer[code], code)
        for code, amount in inner.items()
    )


def _smaller(one: str, other: str, currency: str) -> str:
    return min(one, other, key=lambda amount: money.in_minor_units(amount, currency))
