"""Who a person is, removed: name, address, labels, sessions, links. What others rely on stays, by the reference alone."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError, connection

from aims.kit.nudge import Topic, nudge
from aims.people import events
from aims.people.errors import PersonWasErased
from aims.people.models import AuditSeat, Invitation, Membership, Passkey, RoleHolding, User
from aims.people.services.admins import hold_admins, refuse_last_admin
from aims.people.services.entries import about
from aims.people.services.sessions import end_all_sessions
from audit.write import record

log = logging.getLogger(__name__)

NAME = "Erased person"
_HELD = ("people_user", "people_passkey", "people_signedinsession", "people_invitation")
_DOMAIN = "erased.invalid"  # RFC 2606 §2: no mail ever goes there


def blank(person: User, *, by: str, now: datetime) -> list[str]:
    """Blank a person, in the caller's transaction; return what they were called, which others may hold copies of.

    The keys' public parts and evidence stay: signatures on decisions are checked with them. Twice is once, so that a
    restored database can be blanked again. Raises LastAdmin, PersonWasErased.
    """
    assert connection.in_atomic_block
    _delete_for_good()
    hold_admins()
    refuse_last_admin(person)
    held = User.objects.select_for_update().get(pk=person.pk)
    if held.erased_at is not None:
        raise PersonWasErased(detail=held.ref)
    called = [held.email, held.name]
    ended = end_all_sessions(held)
    Invitation.objects.filter(person=held).delete()
    roles = sorted(RoleHolding.objects.filter(person=held, until_at=None).values_list("role", flat=True))
    AuditSeat.objects.filter(person=held, closed_at=None).update(closed_at=now, closed_by=by)
    RoleHolding.objects.filter(person=held, until_at=None).update(until_at=now)
    RoleHolding.objects.filter(person=held, until_at__gt=now).update(until_at=now)
    Membership.objects.filter(person=held, until_at=None).update(until_at=now)
    keys = Passkey.objects.filter(person=held, ended_at=None).update(ended_at=now, ended_by=by)
    Passkey.objects.filter(person=held).update(name="")
    _overwrite(held, now)
    event = events.PersonBlanked(person=held.ref, sessions=ended, passkeys=keys, roles=roles)
    record(event, by=by, facts=about(held, remediation="person_erased"))
    nudge(Topic.SESSION, to=[held.ref])
    return called


def vacuum() -> None:
    """On PostgreSQL, give the room of what was blanked to what is written next; not within a transaction.

    The blanking is done by then: where this can't be, the log line says so, and the database does it in its own time.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return
    try:
        with connection.cursor() as cursor:
            for table in _HELD:
                cursor.execute(f"VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON) {table}")
    except DatabaseError as error:
        log.warning("what was blanked waits in old pages of the database: %s", error)


def _delete_for_good() -> None:
    """On SQLite, have this connection overwrite from now on what it deletes or shortens."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete=ON")


def _overwrite(held: User, now: datetime) -> None:
    held.name, held.email = NAME, f"{held.ref}@{_DOMAIN}"
    held.locale, held.time_zone, held.last_login = "en", "UTC", None
    held.is_active, held.erased_at = False, now
    held.save()
