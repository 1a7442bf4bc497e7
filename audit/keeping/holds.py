"""Legal holds: what must stay, whoever would rather have it gone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from audit.keeping import state
from audit.keeping.errors import Held, HoldRefused, NoSuchHold
from audit.keeping.events import HoldPlaced, HoldReleased
from audit.keeping.models import HOLD_KINDS, REFERENCE_MAX, Hold
from audit.models import Entry
from audit.write import NOBODY, record

OPEN_MAX = 200
REASON_MAX = 1_000  # characters
# Which parameters a hold of each kind is told by, all of them and no others; a period has one of its two ends at least.
_TOLD_BY = {"all": (), "person": ("person",), "agent": ("agent",), "period": ("since_at", "until_at")}
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_REFERENCE = re.compile(rf"[\x21-\x7e]{{1,{REFERENCE_MAX}}}")


def place(
    kind: str,
    *,
    person: str = "",
    agent: str = "",
    since_at: datetime | None = None,
    until_at: datetime | None = None,
    reason: str,
    by: str,
    now: datetime,
) -> Hold:
    """Place a hold. It works from its commit on: an erasure that had begun before it goes on. Raises HoldRefused."""
    told: dict[str, str | datetime | None] = {
        "person": person, "agent": agent, "since_at": since_at, "until_at": until_at
    }  # fmt: skip
    hold = Hold(kind=kind, **told, reason=_reason(reason), placed_by=by, placed_at=now)
    _check(hold, {name for name, value in told.items() if value})
    event = HoldPlaced(
        hold=hold.ref,
        kind=kind,
        person=person or None,
        agent=agent or None,
        since_at=_seconds(since_at),
        until_at=_seconds(until_at),
    )
    with transaction.atomic():
        state.locked()
        if in_force().count() >= OPEN_MAX:
            raise HoldRefused(f"at most {OPEN_MAX} holds are in force at a time")
        hold.save(force_insert=True)
        record(event, by=by, facts=NOBODY)
    return hold


def release(ref: str, *, by: str, now: datetime) -> None:
    """Release a hold. Who asks for it brings a second person's consent: this room knows nobody. Raises NoSuchHold."""
    with transaction.atomic():
        state.locked()
        hold = Hold.objects.filter(ref=ref, released_at=None).first()
        if hold is None:
            raise NoSuchHold(f"no hold {ref[:40]} is in force")
        Hold.objects.filter(pk=hold.pk).update(released_at=now, released_by=by)
        record(HoldReleased(hold=hold.ref, kind=hold.kind), by=by, facts=NOBODY)


def in_force() -> QuerySet[Hold]:
    """Return the holds that are in force, the newest first."""
    return Hold.objects.filter(released_at=None).order_by("-placed_at", "-pk")


def on_person(person: str) -> list[Hold]:
    """Return the holds that keep a person from being erased: on them, or on entries that speak of them."""
    return [hold for hold in in_force() if _touches_person(hold, person)]


def on_entries(first: int, end: int, *, begins_at: datetime, ends_at: datetime) -> list[Hold]:
    """Return the holds that keep entries [first, end), all of them numbered between two moments."""
    return [hold for hold in in_force() if _touches(hold, first, end, begins_at, ends_at)]


def refuse_person(person: str) -> None:
    """Raise Held where a hold covers the person; inside the caller's transaction, under the lock of ``state``."""
    if holds := on_person(person):
        raise Held([hold.ref for hold in holds])


def _check(hold: Hold, told: set[str]) -> None:
    if hold.kind not in HOLD_KINDS:
        raise HoldRefused("there is no such kind of hold")
    wanted = set(_TOLD_BY[hold.kind])
    if not told <= wanted or (wanted and not told) or (hold.kind in ("person", "agent") and told != wanted):
        raise HoldRefused(f"a hold of kind {hold.kind} is told by {' and '.join(sorted(wanted)) or 'nothing else'}")
    if any(not _REFERENCE.fullmatch(text) for text in (hold.person, hold.agent) if text):
        raise HoldRefused("a hold names people and agents by their references")
    if hold.since_at and hold.until_at and hold.since_at >= hold.until_at:
        raise HoldRefused("the period ends before it begins")


def _reason(text: str) -> str:
    clean = text.strip()
    if not 0 < len(clean) <= REASON_MAX or not clean.replace("\n", "").replace("\r", "").isprintable():
        raise HoldRefused(f"a hold has a reason: a sentence or two, at most {REASON_MAX:,} characters")
    return clean


def _touches_person(hold: Hold, person: str) -> bool:
    match hold.kind:
        case "all":
            return True
        case "person":
            return hold.person == person
        case "agent":
            return Entry.objects.filter(_speaks_of(person), agent=hold.agent).exists()
        case _:
            return Entry.objects.filter(_speaks_of(person), _within(hold)).exists()


def _touches(hold: Hold, first: int, end: int, begins_at: datetime, ends_at: datetime) -> bool:
    entries = Entry.objects.filter(index__gte=first, index__lt=end)
    match hold.kind:
        case "all":
            return True
        case "person":
            return entries.filter(_speaks_of(hold.person)).exists()
        case "agent":
            return entries.filter(agent=hold.agent).exists()
        case _:
            return (hold.since_at or _EVER) < ends_at and begins_at < (hold.until_at or _NEVER)


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _speaks_of(person: str) -> Q:
    return Q(subject=person) | Q(by=person)


def _within(hold: Hold) -> Q:
    within = Q()
    if hold.since_at:
        within &= Q(recorded_at__gte=hold.since_at)
    if hold.until_at:
        within &= Q(recorded_at__lt=hold.until_at)
    return within
