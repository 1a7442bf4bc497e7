"""Grants in the words of the pages: what each allows in one sentence, what is left of its budget, what will end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from aims.authorization import budget, standing
from aims.authorization.cards import money
from aims.authorization.models import DelegationGrant
from aims.authorization.queries import ends_soon, state_of
from aims.authorization.standing import Gauge
from aims.console.templatetags import words
from aims.identifier.models import ResourceAction

ACTIONS_SHOWN = 4  # named in a sentence, the others are counted
NEARLY_PERCENT, FULL_PERCENT = 80, 100


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A limit as ``components/meter.html`` takes it."""

    percent: int
    label: str
    text: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A grant as lists show it. state: of ``state_of``. may: what it allows, without the agent. can_end: the reader may."""

    grant: DelegationGrant
    state: str
    may: str
    meters: list[Meter]
    used_at: datetime | None
    is_ending: bool
    can_end: bool = False


def shown(grants: Iterable[DelegationGrant], *, now: datetime, can_end: frozenset[int] = frozenset()) -> list[Shown]:
    """Return grants for a list, with what belongs to them asked for together. can_end: primary keys."""
    rows = list(grants)
    titles, gauges, used = titles_of(rows), standing.gauges_of(rows, now=now), standing.last_uses(rows)
    return [
        Shown(
            grant=grant,
            state=state_of(grant, now=now),
            may=may(grant, titles.get(grant.resource_id, {})),
            meters=[meter(gauge) for gauge in gauges.get(grant.pk, ())],
            used_at=used.get(grant.pk),
            is_ending=ends_soon(grant, now=now),
            can_end=grant.pk in can_end,
        )
        for grant in rows
    ]


def titles_of(grants: Iterable[DelegationGrant]) -> dict[int, dict[str, str]]:
    """Return what the actions of these grants' resources are called, by the resource's primary key."""
    found: dict[int, dict[str, str]] = {}
    rows = ResourceAction.objects.filter(resource__in={grant.resource_id for grant in grants})
    for resource, name, title in rows.values_list("resource", "name", "title"):
        found.setdefault(resource, {})[name] = title
    return found


def may(grant: DelegationGrant, titles: Mapping[str, str]) -> str:
    """Return what a grant allows and where: ``read balances and pay somebody at Payments API``."""
    named = [_lowered(titles.get(name, name)) for name in grant.actions]
    if len(named) > ACTIONS_SHOWN:
        rest = len(named) - ACTIONS_SHOWN + 1
        named = [*named[: ACTIONS_SHOWN - 1], ngettext("%(n)s more", "%(n)s more", rest) % {"n": rest}]
    return _("%(actions)s at %(resource)s") % {"actions": words.joined(named), "resource": grant.resource.name}


def meter(gauge: Gauge) -> Meter:
    """Return a limit of a budget for a meter."""
    percent = int(words.percent_of(gauge.used, gauge.most))
    tone = "danger" if percent >= FULL_PERCENT else "waiting" if percent >= NEARLY_PERCENT else "plain"
    return Meter(percent=percent, label=_label(gauge.unit), text=_text(gauge), tone=tone)


def limit(unit: str, most: int) -> str:
    """Return a limit in words: ``25,000.00 EUR in all``, ``10 times an hour``."""
    texts = {
        budget.USES: ngettext("%(n)s time in all", "%(n)s times in all", most),
        budget.HOUR: ngettext("%(n)s time an hour", "%(n)s times an hour", most),
        budget.DAY: ngettext("%(n)s time a day", "%(n)s times a day", most),
    }
    return texts[unit] % {"n": f"{most:,}"} if unit in texts else _("%(sum)s in all") % {"sum": _sum(most, unit)}


def depth_words(depth: int) -> str:
    """Return how far a grant may be passed on."""
    if not depth:
        return _("may not be passed on")
    return ngettext("may be passed on once", "may be passed on %(n)s times, one after the other", depth) % {"n": depth}


def giver(grant: DelegationGrant) -> str:
    """Return from whom a grant is."""
    return grant.from_person.name if grant.from_person else _("the organisation")


def changes_of(before: DelegationGrant, after: DelegationGrant) -> Iterator[str]:
    """Yield what narrower terms change, one line each."""
    lost = [name for name in before.actions if name not in after.actions]
    if lost:
        yield _("no longer: %(actions)s") % {"actions": words.joined(lost)}
    kinds = [name for name in before.detail_types if name not in after.detail_types]
    if kinds:
        yield _("no longer with: %(types)s") % {"types": words.joined(kinds)}
    if after.until_at != before.until_at:
        yield _("until %(until)s, not until %(before)s") % {
            "until": words.stamp(after.until_at),
            "before": words.stamp(before.until_at),
        }
    held = {each.unit: each.most for each in budget.limits_of(before.budget)}
    for each in budget.limits_of(after.budget):
        if held.get(each.unit) != each.most:
            yield _("at most %(limit)s") % {"limit": limit(each.unit, each.most)}
    if after.depth != before.depth:
        yield depth_words(after.depth)


def _label(unit: str) -> str:
    names = {budget.USES: _("Uses"), budget.HOUR: _("Uses this hour"), budget.DAY: _("Uses today")}
    return names.get(unit) or _("Money in %(currency)s") % {"currency": unit}


def _text(gauge: Gauge) -> str:
    unit = gauge.unit
    if unit in (budget.USES, budget.HOUR, budget.DAY):
        texts = {
            budget.USES: _("%(used)s of %(most)s uses, %(left)s left"),
            budget.HOUR: _("%(used)s of %(most)s uses this hour, %(left)s left"),
            budget.DAY: _("%(used)s of %(most)s uses today, %(left)s left"),
        }
        counts = {"used": gauge.used, "most": gauge.most, "left": gauge.left}
        return texts[unit] % {name: f"{count:,}" for name, count in counts.items()}
    plain = money.shown(money.of_minor_units(gauge.used, unit), unit).removesuffix(f" {unit}")
    return _("%(used)s of %(most)s, %(left)s left") % {
        "used": plain,
        "most": _sum(gauge.most, unit),
        "left": _sum(gauge.left, unit),
    }


def _sum(count: int, currency: str) -> str:
    return money.shown(money.of_minor_units(count, currency), currency)


def _lowered(title: str) -> str:
    """Return a title as it stands inside a sentence; what begins with capitals, as an abbreviation does, stays."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
