"""The auditor's seat: it has an end, it opens a part of the log, and nothing lifts what it binds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from aims.kit import clock
from aims.people import errors, queries, services
from aims.people.models import AuditSeat, SignedInSession
from aims.people.services import SeatTerms
from aims.people.services.seats import AGENTS_MAX, GUEST_MAX
from audit.access import EVERYTHING, NOTHING, scope_of
from audit.canonical import decode
from audit.models import InboxRow
from tests.support.cast import someone
from tests.support.log import written_once
from tests.support.racing import ROUNDS, at_once
from tests.unit.people.driver import BY, browser_of, use_link

__all__ = ["written_once"]

COURIER = "spiffe://acme.example/agent/courier"
MIDNIGHT = datetime(2026, 11, 28, tzinfo=UTC)
A_WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def terms(**other: Any) -> SeatTerms:
    """Return a guest's terms: a week, one agent, no period."""
    guest = SeatTerms(
        is_guest=True,
        until_at=clock.now() + A_WEEK,
        agents=(COURIER,),
        period_since_at=None,
        period_until_at=None,
    )
    return replace(guest, **other)


def seated(**other: Any) -> tuple[AuditSeat, str]:
    return services.open_seat("eve@audit.example", terms(**other), name="Eve", by="usr_adm", now=clock.now())


def last_said() -> dict[str, Any]:
    """Return the newest event in the inbox."""
    said: dict[str, Any] = decode(bytes(InboxRow.objects.order_by("-pk")[0].payload))
    return said


@pytest.mark.django_db
def test_a_guest_is_invited_by_a_link_and_reads_what_the_seat_opens() -> None:
    seat, token = seated(period_since_at=MIDNIGHT)
    assert last_said()["type"] == "people.seat.opened" and last_said()["by"] == "usr_adm"
    assert last_said()["data"]["agents"] == [COURIER]
    eve = use_link(token).person
    assert eve.has_role("auditor") and eve == seat.person
    scope = scope_of(eve)
    assert (scope.agents, scope.since_at, scope.until_at) == (frozenset({COURIER}), MIDNIGHT, None)


@pytest.mark.django_db
def test_a_seat_closes_by_itself_at_its_end_swept_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seat, token = seated()
    eve = use_link(token).person
    monkeypatch.setattr(clock, "now", lambda: seat.until_at)
    assert not eve.has_role("auditor") and scope_of(eve) == NOTHING


@pytest.mark.django_db
def test_the_sweep_signs_a_guest_out_and_says_so_once() -> None:
    seat, token = seated()
    browser_of(use_link(token))
    assert seat.until_at is not None
    assert services.close_due_seats(seat.until_at - timedelta(seconds=1)) == 0
    assert services.close_due_seats(seat.until_at) == 1 and services.close_due_seats(seat.until_at) == 0
    assert not SignedInSession.objects.exists()
    said = last_said()
    assert said["type"] == "people.seat.expired" and said["by"] == "system" and said["remediation"] == "seat_expired"
    assert said["data"]["sessions"] == 1


@pytest.mark.django_db
def test_prolonging_says_by_whom_and_moves_the_end() -> None:
    seat, _token = seated()
    later = clock.now() + GUEST_MAX - timedelta(minutes=1)
    services.prolong_seat(seat, until_at=later, by="usr_adm", now=clock.now())
    assert last_said()["type"] == "people.seat.prolonged" and last_said()["by"] == "usr_adm"
    assert AuditSeat.objects.get().until_at == later
    with pytest.raises(errors.SeatNeedsEnd):
        services.prolong_seat(seat, until_at=later + timedelta(hours=1), by="usr_adm", now=clock.now())


@pytest.mark.django_db
def test_an_ended_seat_signs_the_guest_out_and_can_neither_be_prolonged_nor_ended_again() -> None:
    seat, token = seated()
    eve = use_link(token)
    browser_of(eve)
    services.end_seat(seat, by="usr_adm", now=clock.now())
    assert last_said()["type"] == "people.seat.ended" and not SignedInSession.objects.exists()
    assert not eve.person.has_role("auditor")
    with pytest.raises(errors.SeatClosed):
        services.end_seat(seat, by="usr_adm", now=clock.now())
    with pytest.raises(errors.SeatClosed):
        services.prolong_seat(seat, until_at=clock.now() + A_WEEK, by="usr_adm", now=clock.now())
    again, token = seated()
    assert not token and again.ref != seat.ref, "who has a passkey needs no link"


@pytest.mark.django_db
def test_a_seat_that_ran_out_is_not_prolonged_even_before_the_sweep() -> None:
    seat, _token = seated()
    assert seat.until_at is not None
    with pytest.raises(errors.SeatClosed):
        services.prolong_seat(seat, until_at=seat.until_at + A_WEEK, by=BY, now=seat.until_at)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"until_at": None}, errors.SeatNeedsEnd),
        ({"until_at": MIDNIGHT - timedelta(days=9999)}, errors.SeatNeedsEnd),
        ({"until_at": MIDNIGHT + timedelta(days=9999)}, errors.SeatNeedsEnd),
        ({"is_guest": False, "until_at": MIDNIGHT - timedelta(days=9999)}, errors.SeatNeedsEnd),
        ({"agents": ()}, errors.FieldRefused),
        ({"agents": tuple(f"spiffe://a/{n}" for n in range(AGENTS_MAX + 1))}, errors.FieldRefused),
        ({"agents": tuple(f"spiffe://a/{n}{'x' * 1000}" for n in range(9))}, errors.FieldRefused),
        ({"period_since_at": MIDNIGHT + timedelta(hours=1)}, errors.FieldRefused),
        ({"period_since_at": MIDNIGHT, "period_until_at": MIDNIGHT}, errors.FieldRefused),
    ],
)
def test_terms_that_cannot_be_are_refused_and_leave_nothing(other: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        seated(**other)
    assert queries.person_by_email("eve@audit.example") is None


@pytest.mark.django_db
def test_one_of_the_house_may_have_a_seat_that_lasts() -> None:
    seat, _token = seated(is_guest=False, until_at=None, agents=None)
    assert seat.until_at is None and scope_of(seat.person) == EVERYTHING


@pytest.mark.django_db
def test_nobody_has_two_seats_or_a_seat_beside_a_role_that_reads_everything() -> None:
    seated()
    with pytest.raises(errors.SeatOpen):
        seated()
    for role in ("admin", "auditor"):
        reader = someone(role.title(), role)
        with pytest.raises(errors.SeatUseless):
            services.open_seat(reader, terms(), by=BY, now=clock.now())


@pytest.mark.django_db
def test_no_role_lifts_what_a_seat_binds() -> None:
    eve = seated()[0].person
    for role in ("admin", "auditor"):
        with pytest.raises(errors.SeatOpen):
            services.hold_role(eve, role, by=BY, now=clock.now())
    with pytest.raises(errors.SeatOpen):
        services.end_role(eve, "auditor", by=BY, now=clock.now())
    services.hold_role(eve, "approver", by=BY, now=clock.now())
    assert scope_of(eve).agents == frozenset({COURIER})


@pytest.mark.django_db
def test_a_deactivated_person_gets_no_seat() -> None:
    cy = someone("Cy")
    services.deactivate(cy, by=BY, now=clock.now())
    with pytest.raises(errors.PersonInactive):
        services.open_seat(cy, terms(), by=BY, now=clock.now())


@pytest.mark.django_db
def test_the_command_line_opens_prolongs_and_ends() -> None:
    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("seat", "eve@audit.example", *arguments, stdout=out)
        return out.getvalue()

    with pytest.raises(CommandError, match="Say until when"):
        run()
    with pytest.raises(CommandError, match="no agent"):
        run("--days", "7", "--agent", "spiffe://acme.example/agent/nobody")
    assert "/join/" in run("--days", "7", "--since", "2026-01-01", "--until", "2026-01-31")
    seat = AuditSeat.objects.get()
    assert seat.limits.until_at == datetime(2026, 2, 1, tzinfo=UTC) and last_said()["by"].startswith("cli:")
    run("--prolong", "--days", "30")
    run("--end")
    with pytest.raises(CommandError, match="no open"):
        run("--end")


@pytest.mark.django_db(transaction=True)
@pytest.mark.scaled
def test_two_seats_at_once_are_one_seat_and_a_role_at_once_is_none() -> None:
    for number in ROUNDS:
        person = someone(f"P{number}")
        sit = partial(services.open_seat, person, terms(), by=BY, now=clock.now())
        results = at_once(sit, sit, partial(services.hold_role, person, "auditor", by=BY, now=clock.now()))
        bound = person.audit_seats.filter(closed_at=None).count()
        assert bound + person.role_holdings.filter(role="auditor", until_at=None).count() == 1
        assert sum(isinstance(result, errors.SeatOpen | errors.SeatUseless) for result in results) == 2
