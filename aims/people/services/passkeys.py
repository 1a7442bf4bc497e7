"""Adding, naming and ending one's keys. Adding needs a signature of a key that works: a cookie never suffices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.people import events, queries
from aims.people.errors import KeyRefused, LastKey, NotHeld
from aims.people.models import Ceremony, Passkey, SignedInSession, User
from aims.people.options import request_options
from aims.people.services import ceremonies
from aims.people.services.admins import hold_admins, refuse_last_admin
from aims.people.services.enrolment import clean_key_name, keep, options_for, verified_registration
from aims.people.services.entries import about
from aims.people.services.living import hold_living
from aims.people.services.sessions import end_sessions, use_key, verified_assertion
from audit.write import record

ADD_KEY = Ceremony.Purpose.ADD_KEY


def begin_adding(person: User, *, bound_to: str, now: datetime) -> dict[str, Any]:
    """Return the two ceremonies of adding a key: ``get`` with a key that works, then ``create``."""
    keys = queries.passkeys_of(person)
    with transaction.atomic():
        proof = ceremonies.make(ADD_KEY, bound_to=bound_to, now=now)
        fresh = ceremonies.make(ADD_KEY, bound_to=bound_to, now=now)
    allow = queries.descriptors(keys)
    return {
        "get": request_options(challenge=proof, rp_id=settings.RP_ID, allow=allow),
        "create": options_for(person, fresh, exclude=keys),
    }


def add_passkey(
    person: User, assertion: str, registration: str, *, key_name: str, bound_to: str, now: datetime
) -> Passkey:
    """Add a key that the person vouches for with an existing one; it may approve at once.

    The vouching key must itself be past its cool-down to pass that on; else the new key shares its wait. Raises
    KeyRefused, KeyKnown, CeremonyGone, FieldRefused.
    """
    signed, proof = verified_assertion(assertion, person=person, keys=queries.passkeys_of(person))
    made, fresh = verified_registration(registration)
    with transaction.atomic():
        ceremonies.consume(ADD_KEY, proof, bound_to=bound_to, now=now)
        ceremonies.consume(ADD_KEY, fresh, bound_to=bound_to, now=now)
        vouching = use_key(signed, now=now)
        if vouching.person != person:
            raise KeyRefused(detail="the vouching key is somebody else's")
        return keep(
            made,
            person,
            name=key_name,
            vouched_by=person.ref,
            # Otherwise a recovered key could add a second one and step around its own cool-down.
            usable_from_at=max(now, vouching.usable_from_at),
            is_recovery=False,
            now=now,
        )


def rename_passkey(key: Passkey, name: str, *, by: str, now: datetime) -> None:
    """Give a key another name. Raises FieldRefused, PersonWasErased."""
    key.name = clean_key_name(name)
    with transaction.atomic():
        hold_living(key.person)
        key.save(update_fields=["name"])
        record(events.PasskeyRenamed(person=key.person.ref, passkey=key.ref), by=by, facts=about(key.person))


def end_passkey(key: Passkey, *, by: str, now: datetime) -> None:
    """End a key and the sessions that it opened.

    Raises LastKey where its owner would lock themselves out, LastAdmin where everybody would be, NotHeld.
    """
    with transaction.atomic():
        hold_admins()
        # The row of the person is the lock: two keys ended at once would each see the other as what is left.
        person = User.objects.select_for_update().get(pk=key.person.pk)
        left = person.passkeys.filter(ended_at=None).exclude(pk=key.pk)
        if not left.exists():
            if by == person.ref:
                raise LastKey
            refuse_last_admin(person)
        if not Passkey.objects.filter(pk=key.pk, ended_at=None).update(ended_at=now, ended_by=by):
            raise NotHeld
        end_sessions(SignedInSession.objects.filter(passkey=key))
        event = events.PasskeyEnded(person=person.ref, passkey=key.ref)
        record(event, by=by, facts=about(person, remediation="passkey_ended"))
