"""Rules about people who decide too fast, too often, or at night. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aims.observability.rules.seen import Hit, Rule, Seen, State, Zone, kept, within
from aims.observability.rules.seen import gettext_noop as _

_ASKED, _YES, _NO = "authorization.request.opened", "approvals.decision.approved", "approvals.decision.denied"


def _quick(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    asked = kept(state, "asked")
    if entry.type == _ASKED:
        asked[entry.text("request")] = [entry.happened_s, entry.index]
        return
    before = asked.pop(entry.text("request"), None)
    if before is not None and entry.happened_s - before[0] < limits["decided_under_s"]:
        found = (before[1], entry.index)
        yield Hit(key=entry.by, indexes=found, person=entry.by, agent=entry.agent, txn=entry.txn)


def _streak(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    runs = kept(state, "runs")
    if entry.type == _NO:
        runs.pop(entry.by, None)
        return
    recent = within(runs.get(entry.by, [0, []])[1], since_s=entry.at_s - limits["within_s"])
    recent.append([entry.at_s, entry.index])
    if len(recent) < limits["approvals"]:
        runs[entry.by] = [entry.at_s, recent]
        return
    runs.pop(entry.by, None)
    yield Hit(key=entry.by, indexes=tuple(mark[1] for mark in recent), person=entry.by)


def _night(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    local = datetime.fromtimestamp(entry.happened_s, _zone(zone(entry.by)))
    if not limits["from_hour"] <= local.hour < limits["until_hour"]:
        return
    nights = kept(state, "nights")
    recent = within(nights.get(entry.by, [0, []])[1], since_s=entry.at_s - limits["within_s"])
    recent.append([entry.at_s, entry.index])
    if len(recent) < limits["approvals"]:
        nights[entry.by] = [entry.at_s, recent]
        return
    nights.pop(entry.by, None)
    yield Hit(key=entry.by, indexes=tuple(mark[1] for mark in recent), person=entry.by)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


RULES = (
    Rule(
        id="quick-yes",
        version=1,
        title=_("A yes too fast to have been read"),
        says=_("A person signed a yes sooner than the card can be read."),
        severity="medium",
        limits={"decided_under_s": 3},
        types=frozenset({_ASKED, _YES}),
        watch=_quick,
    ),
    Rule(
        id="streak",
        version=1,
        title=_("One yes after another"),
        says=_("A person said yes many times in a row, and never no."),
        severity="medium",
        limits={"approvals": 10, "within_s": 600},
        types=frozenset({_YES, _NO}),
        watch=_streak,
    ),
    Rule(
        id="night",
        version=1,
        title=_("Yes in the middle of the night"),
        says=_("A person said yes several times while it was night where they live."),
        severity="low",
        limits={"approvals": 3, "within_s": 28_800, "from_hour": 0, "until_hour": 5},
        types=frozenset({_YES}),
        watch=_night,
    ),
)
