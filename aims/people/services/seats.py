"""The auditor's seat: a role with an end, and a part of the log. It closes by itself; the sweep only tidies up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from aims.kit.nudge import Topic, nudge
from aims.people import events
from aims.people.errors import FieldRefused, PersonInactive, SeatClosed, SeatNeedsEnd, SeatUseless
from aims.people.models import AuditSeat, Role, RoleHolding, User
from aims.people.queries import person_by_email
from aims.people.services.enrolment import invite
from aims.people.services.entries import about
from aims.people.services.persons import create_person, refuse_open_seat
from aims.people.services.sessions import end_all_sessions
from audit.write import record

GUEST_MAX = timedelta(days=90)
AGENTS_MAX = 50
AGENTS_MAX_BYTES = 8 * 1024  # together: the entry of the seat names them all
SWEPT_AT_ONCE = 100
_DAY_S = 86_400  # the log counts old entries by the day: a bound within one would be told by its counts


@dataclass(frozen=True, kw_only=True)
class SeatTerms:
    """What a seat opens and for how long. until_at: its end, None only for one of the house.

    agents: identifiers that the face above has found, None for all. period_since_at, period_until_at: of the log, at midnight (UTC).
    """

    is_guest: bool
    until_at: datetime | None
    agents: tuple[str, ...] | None
    period_since_at: datetime | None
    period_until_at: datetime | None


def open_seat(
    person_or_email: User | str, terms: SeatTerms, *, name: str = "", by: str, now: datetime
) -> tuple[AuditSeat, str]:
    """Give somebody an auditor's seat. Return it and the token of an enrolment link, empty for who has a passkey.

    An unknown address becomes a person. Raises FieldRefused, PersonInactive, SeatOpen, SeatUseless, SeatNeedsEnd.
    """
    _check(terms, now)
    with transaction.atomic():
        person, token = _seated(person_or_email, name, by, now)
        refuse_open_seat(person)
        _refuse_readers(person, now)
        holding = RoleHolding.objects.create(person=person, role=Role.AUDITOR, since_at=now, until_at=terms.until_at)
        seat = AuditSeat.objects.create(
            person=person,
            holding=holding,
            is_guest=terms.is_guest,
            agents=None if terms.agents is None else sorted(set(terms.agents)),
            period_since_at=terms.period_since_at,
            period_until_at=terms.period_until_at,
            opened_by=by,
        )
        record(_opened(seat), by=by, facts=about(person))
        nudge(Topic.SESSION, to=[person.ref])
    return seat, token


def prolong_seat(seat: AuditSeat, *, until_at: datetime, by: str, now: datetime) -> None:
    """Move the end of a seat that is not over. Raises SeatClosed, SeatNeedsEnd."""
    if until_at <= now or (seat.is_guest and until_at > now + GUEST_MAX):
        raise SeatNeedsEnd
    with transaction.atomic():
        held = _locked(seat)
        if held.until_at is not None and held.until_at <= now:
            raise SeatClosed(detail=seat.ref)
        event = events.SeatProlonged(
            person=seat.person.ref,
            seat=seat.ref,
            until_at=int(until_at.timestamp()),
            until_at_before=_seconds(held.until_at),
        )
        RoleHolding.objects.filter(pk=held.holding.pk).update(until_at=until_at)
        record(event, by=by, facts=about(seat.person))


def end_seat(seat: AuditSeat, *, by: str, now: datetime) -> None:
    """Close a seat now; a guest is signed out. Raises SeatClosed."""
    with transaction.atomic():
        held = _locked(seat)
        if held.until_at is not None and held.until_at <= now:
            raise SeatClosed(detail=seat.ref)
        RoleHolding.objects.filter(pk=held.holding.pk).update(until_at=now)
        ended = _close(held, by=by, now=now)
        event = events.SeatEnded(person=seat.person.ref, seat=seat.ref, sessions=ended)
        record(event, by=by, facts=about(seat.person, remediation="seat_ended"))


def close_due_seats(now: datetime) -> int:
    """Tidy up after seats that are over: guests are signed out, and the log says so. Return how many."""
    due = AuditSeat.objects.filter(closed_at=None, holding__until_at__lte=now).order_by("pk")
    return sum(_expire(pk, now) for pk in due.values_list("pk", flat=True)[:SWEPT_AT_ONCE])


def _expire(pk: int, now: datetime) -> int:
    with transaction.atomic():
        seat = _lockable().filter(pk=pk, closed_at=None).first()
        if seat is None or seat.until_at is None or seat.until_at > now:
            return 0  # ended or prolonged meanwhile
        ended = _close(seat, by="system", now=now)
        event = events.SeatExpired(
            person=seat.person.ref, seat=seat.ref, until_at=int(seat.until_at.timestamp()), sessions=ended
        )
        record(event, by="system", facts=about(seat.person, remediation="seat_expired"))
    return 1


def _close(seat: AuditSeat, *, by: str, now: datetime) -> int:
    """Mark a locked seat as over; return how many sessions of a guest ended with it."""
    AuditSeat.objects.filter(pk=seat.pk).update(closed_at=now, closed_by=by)
    nudge(Topic.SESSION, to=[seat.person.ref])
    return end_all_sessions(seat.person) if seat.is_guest else 0


def _locked(seat: AuditSeat) -> AuditSeat:
    """Return the seat as it stands now, held until commit. Raises SeatClosed."""
    held = _lockable().filter(pk=seat.pk, closed_at=None).first()
    if held is None:
        raise SeatClosed(detail=seat.ref)
    return held


def _lockable() -> QuerySet[AuditSeat]:
    return AuditSeat.objects.select_related("person", "holding").select_for_update(of=("self",))


def _seated(person_or_email: User | str, name: str, by: str, now: datetime) -> tuple[User, str]:
    """Return who is meant, and the token of a link if they have no passkey that works. Raises PersonInactive."""
    person = person_or_email if isinstance(person_or_email, User) else person_by_email(person_or_email)
    if person is None:
        person = create_person(
            email=str(person_or_email), name=name or str(person_or_email).partition("@")[0], by=by, now=now
        )
    if not person.is_active:
        raise PersonInactive
    has_key = person.passkeys.filter(ended_at=None).exists()
    return person, "" if has_key else invite(person, by=by, now=now)


def _refuse_readers(person: User, now: datetime) -> None:
    """Raise SeatUseless for who reads everything, also by a role whose giver's clock was ahead of ours."""
    held = person.role_holdings.filter(role__in=[Role.ADMIN, Role.AUDITOR])
    if held.filter(Q(until_at=None) | Q(until_at__gt=now)).exists():
        raise SeatUseless(detail=person.ref)


def _check(terms: SeatTerms, now: datetime) -> None:
    if terms.until_at is None and terms.is_guest:
        raise SeatNeedsEnd
    if terms.until_at is not None and (terms.until_at <= now or terms.is_guest and terms.until_at > now + GUEST_MAX):
        raise SeatNeedsEnd
    for moment in (terms.period_since_at, terms.period_until_at):
        if moment is not None and moment.timestamp() % _DAY_S:
            raise FieldRefused(detail="period")
    if terms.period_since_at and terms.period_until_at and terms.period_since_at >= terms.period_until_at:
        raise FieldRefused(detail="period")
    _check_agents(terms.agents)


def _check_agents(agents: tuple[str, ...] | None) -> None:
    if agents is None:
        return
    # None at all would be a seat that opens nothing; more would not fit into the entry that names them.
    if not 0 < len(agents) <= AGENTS_MAX or sum(map(len, agents)) > AGENTS_MAX_BYTES:
        raise FieldRefused(detail="agents")


def _opened(seat: AuditSeat) -> events.SeatOpened:
    return events.SeatOpened(
        person=seat.person.ref,
        seat=seat.ref,
        is_guest=seat.is_guest,
        until_at=_seconds(seat.until_at),
        agents=seat.agents,
        period_since_at=_seconds(seat.period_since_at),
        period_until_at=_seconds(seat.period_until_at),
    )


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
