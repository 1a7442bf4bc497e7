"""People, their roles and their groups. Holdings have a beginning and an end; nothing is erased by ending it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email, validate_slug
from django.db import IntegrityError, transaction

from aims.kit.nudge import Topic, nudge
from aims.people import events
from aims.people.errors import EmailTaken, FieldRefused, GroupTaken, NotHeld, PersonWasErased, SeatOpen
from aims.people.models import AuditSeat, Group, Invitation, Membership, Role, RoleHolding, User
from aims.people.services.admins import hold_admins, refuse_last_admin
from aims.people.services.entries import about, personal, record_personal
from aims.people.services.living import hold_living
from aims.people.services.sessions import end_all_sessions
from audit.write import record

NAME_MAX, EMAIL_MAX, SLUG_MAX = 120, 254, 64
_ZONES = available_timezones()


def create_person(*, email: str, name: str, by: str, now: datetime, locale: str = "en", time_zone: str = "UTC") -> User:
    """Add a person without any right and without a key. Raises EmailTaken, FieldRefused, ValuesUnavailable."""
    person = User(email=_email(email), name=_name(name), locale=_locale(locale), time_zone=_zone(time_zone))
    try:
        with transaction.atomic():
            person.save(force_insert=True)
            told = {"email": personal(person, person.email), "name": personal(person, person.name)}
            record_personal(events.PersonCreated(person=person.ref, **told), by=by, person=person)
    except IntegrityError:
        raise EmailTaken from None
    return person


def change_profile(person: User, *, by: str, now: datetime, **changes: str) -> None:
    """Change name, locale or time_zone. The same values again write no entry.

    Raises FieldRefused, ValuesUnavailable, PersonWasErased.
    """
    checks = {"name": _name, "locale": _locale, "time_zone": _zone}
    clean = {field: checks[field](value) for field, value in changes.items()}
    changed = sorted(field for field, value in clean.items() if getattr(person, field) != value)
    if not changed:
        return
    with transaction.atomic():
        hold_living(person)
        for field in changed:
            setattr(person, field, clean[field])
        person.save(update_fields=changed)
        name = personal(person, person.name) if "name" in changed else None
        record_personal(events.PersonChanged(person=person.ref, fields=changed, name=name), by=by, person=person)


def deactivate(person: User, *, by: str, now: datetime) -> None:
    """Shut a person out: their sessions and open links end, their keys sign nothing. Undone by ``reactivate``.

    Raises LastAdmin, NotHeld.
    """
    with transaction.atomic():
        hold_admins()
        refuse_last_admin(person)
        if not User.objects.filter(pk=person.pk, is_active=True).update(is_active=False):
            raise NotHeld
        Invitation.objects.filter(person=person, used_at=None, expires_at__gt=now).update(expires_at=now)
        ended = end_all_sessions(person)
        event = events.PersonDeactivated(person=person.ref, sessions=ended)
        record(event, by=by, facts=about(person, remediation="person_deactivated"))
    person.is_active = False


def reactivate(person: User, *, by: str, now: datetime) -> None:
    """Let a person in again, with the keys and roles that they still hold. Raises NotHeld, PersonWasErased."""
    with transaction.atomic():
        if User.objects.filter(pk=person.pk).exclude(erased_at=None).exists():
            raise PersonWasErased
        if not User.objects.filter(pk=person.pk, is_active=False).update(is_active=True):
            raise NotHeld
        record(events.PersonReactivated(person=person.ref), by=by, facts=about(person))
    person.is_active = True


def hold_role(person: User, role: str, *, by: str, now: datetime) -> None:
    """Give a role from now on. A role that is held already stays as it is, and writes no entry.

    Raises FieldRefused; SeatOpen for a role that would lift what their auditor's seat binds.
    """
    if role not in Role.values:
        raise FieldRefused(detail="role")
    with transaction.atomic():
        if role in (Role.ADMIN, Role.AUDITOR):
            refuse_open_seat(person)
        _, is_new = RoleHolding.objects.get_or_create(
            person=person, role=role, until_at=None, defaults={"since_at": now}
        )
        if is_new:
            record(events.RoleGiven(person=person.ref, role=role), by=by, facts=about(person))
            nudge(Topic.SESSION, to=[person.ref])


def end_role(person: User, role: str, *, by: str, now: datetime) -> None:
    """End a role from now on. Raises LastAdmin, NotHeld, SeatOpen. Sessions go on: each page asks for the role again."""
    with transaction.atomic():
        if role == Role.AUDITOR:
            refuse_open_seat(person)
        if role == Role.ADMIN:
            hold_admins()
            refuse_last_admin(person)
        if not RoleHolding.objects.filter(person=person, role=role, until_at=None).update(until_at=now):
            raise NotHeld
        record(events.RoleEnded(person=person.ref, role=role), by=by, facts=about(person))
        nudge(Topic.SESSION, to=[person.ref])


def refuse_open_seat(person: User) -> None:
    """Raise SeatOpen if this person has a seat, which is told by it alone; inside the caller's transaction.

    The person's row is held, so that no seat is opened meanwhile.
    """
    User.objects.select_for_update().get(pk=person.pk)
    if AuditSeat.objects.filter(person=person, closed_at=None).exists():
        raise SeatOpen(detail=person.ref)


def create_group(slug: str, name: str, *, by: str, now: datetime) -> Group:
    """Make a group that policies can name. Raises GroupTaken, FieldRefused."""
    group = Group(slug=_slug(slug), name=_name(name))
    try:
        with transaction.atomic():
            group.save(force_insert=True)
            record(events.GroupCreated(group=group.slug), by=by, facts=about(None))
    except IntegrityError:
        raise GroupTaken from None
    return group


def join_group(group: Group, person: User, *, by: str, now: datetime) -> None:
    """Put a person into a group from now on; who is in it already stays, without an entry."""
    with transaction.atomic():
        _, is_new = Membership.objects.get_or_create(
            group=group, person=person, until_at=None, defaults={"since_at": now}
        )
        if is_new:
            record(events.GroupJoined(person=person.ref, group=group.slug), by=by, facts=about(person))
            nudge(Topic.SESSION, to=[person.ref])


def leave_group(group: Group, person: User, *, by: str, now: datetime) -> None:
    """Take a person out of a group from now on. Raises NotHeld."""
    with transaction.atomic():
        if not Membership.objects.filter(group=group, person=person, until_at=None).update(until_at=now):
            raise NotHeld
        record(events.GroupLeft(person=person.ref, group=group.slug), by=by, facts=about(person))
        nudge(Topic.SESSION, to=[person.ref])


def _email(email: str) -> str:
    email = email.strip()
    try:
        validate_email(email)
    except ValidationError:
        raise FieldRefused(detail="email") from None
    if len(email) > EMAIL_MAX:
        raise FieldRefused(detail="email")
    return email


def _name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= NAME_MAX or not name.isprintable():
        raise FieldRefused(detail="name")
    return name


def _slug(slug: str) -> str:
    try:
        validate_slug(slug)
    except ValidationError:
        raise FieldRefused(detail="slug") from None
    if len(slug) > SLUG_MAX:
        raise FieldRefused(detail="slug")
    return slug


def _locale(locale: str) -> str:
    if locale not in dict(settings.LANGUAGES):
        raise FieldRefused(detail="locale")
    return locale


def _zone(name: str) -> str:
    if name not in _ZONES:
        raise FieldRefused(detail="time_zone")
    return name
