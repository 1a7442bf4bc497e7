"""Enrolment by a one-time link. For somebody who ever had a key it is recovery, with its cool-down."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from aims.kit.ids import digest, new_secret, tagged_hash
from aims.people import events, queries, webauthn
from aims.people.errors import FieldRefused, KeyKnown, KeyRefused, LinkUnusable, PersonInactive
from aims.people.models import Ceremony, Invitation, Passkey, User
from aims.people.options import creation_options
from aims.people.services import ceremonies
from aims.people.services.entries import about, personal, record_personal
from aims.people.services.persons import change_profile, create_person, hold_role
from aims.people.services.sessions import end_all_sessions
from aims.people.webauthn import Registration, WebAuthnRefused
from audit.write import record

LINK_LIFETIME = timedelta(hours=24)
COOL_DOWN = timedelta(hours=24)
KEY_NAME_MAX = 80


def invite(person_or_email: User | str, *, roles: Iterable[str] = (), name: str = "", by: str, now: datetime) -> str:
    """Return the token of a fresh link ``/join/<token>/``; earlier unused links of the person end.

    An unknown address becomes a person. ``by`` vouches for the key that the link will register. Raises
    PersonInactive, FieldRefused.
    """
    with transaction.atomic():
        person = person_or_email if isinstance(person_or_email, User) else _person(person_or_email, name, by, now)
        person = User.objects.select_for_update().get(pk=person.pk)  # who was shut out or erased meanwhile stays so
        if not person.is_active:
            raise PersonInactive
        for role in roles:
            hold_role(person, role, by=by, now=now)
        return _link(person, by=by, now=now)


def recover(person: User, *, by: str, now: datetime) -> str:
    """Return the token of a recovery link. Nothing ends before it is used, so that a wrong link locks nobody out."""
    return invite(person, by=by, now=now)


def begin_enrolment(token: str, *, now: datetime) -> dict[str, Any]:
    """Return creation options for the person of a link. Raises LinkUnusable. The link stays unused."""
    invitation = queries.usable_invitation(token, now=now)
    if invitation is None:
        raise LinkUnusable
    challenge = ceremonies.make(Ceremony.Purpose.ENROL, bound_to=invitation.token_hash, now=now)
    return options_for(invitation.person, challenge, exclude=[])


def enrol(token: str, response: str, *, key_name: str, now: datetime, **profile: str) -> Passkey:
    """Register the first key of a link and use the link up, both or neither.

    profile: name and time_zone as the person corrected them. Raises LinkUnusable, CeremonyGone, KeyRefused,
    KeyKnown. A recovery ends the old keys and all sessions; the new key may approve after COOL_DOWN.
    """
    invitation = queries.usable_invitation(token, now=now)
    if invitation is None:
        raise LinkUnusable
    registration, challenge = verified_registration(response)
    with transaction.atomic():
        # The conditional update decides who wins where one link is used twice at once.
        if not Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=now).update(used_at=now):
            raise LinkUnusable
        ceremonies.consume(Ceremony.Purpose.ENROL, challenge, bound_to=digest(token), now=now)
        person = User.objects.select_for_update().get(pk=invitation.person.pk)
        if not person.is_active:
            raise LinkUnusable
        is_recovery = person.passkeys.exists()
        if is_recovery:
            _end_old_keys(person, by=invitation.invited_by, now=now)
            transaction.on_commit(partial(_tell_of_recovery, person), robust=True)
        if profile:
            change_profile(person, by=person.ref, now=now, **profile)
        usable_from_at = now + COOL_DOWN if is_recovery else now
        return keep(
            registration,
            person,
            name=key_name,
            vouched_by=invitation.invited_by,
            usable_from_at=usable_from_at,
            is_recovery=is_recovery,
            now=now,
        )


def options_for(person: User, challenge: bytes, *, exclude: Iterable[Passkey]) -> dict[str, Any]:
    """Return creation options for a person's new key."""
    return creation_options(
        challenge=challenge,
        rp_id=settings.RP_ID,
        rp_name="AIMS Console",
        user_handle=person.ref.encode(),
        user_name=person.email,
        user_display_name=person.name,
        exclude=queries.descriptors(exclude),
    )


def verified_registration(response: str) -> tuple[Registration, bytes]:
    """Return the verified registration and the challenge it signed, which the caller must still consume."""
    try:
        challenge = webauthn.claimed(response).challenge
        registration = webauthn.verify_registration(
            response, challenge=challenge, rp_id=settings.RP_ID, origins=settings.RP_ORIGINS
        )
    except WebAuthnRefused as refused:
        raise KeyRefused(detail=refused.code) from None
    return registration, challenge


def keep(
    registration: Registration,
    person: User,
    *,
    name: str,
    vouched_by: str,
    usable_from_at: datetime,
    is_recovery: bool,
    now: datetime,
) -> Passkey:
    """Store a verified key with its evidence and its entry, inside the caller's transaction. Raises KeyKnown."""
    key = Passkey(
        person=person,
        name=clean_key_name(name),
        credential_id=registration.credential_id,
        public_key=registration.public_key,
        algorithm=registration.algorithm,
        sign_count=registration.sign_count,
        aaguid=registration.aaguid,
        transports=list(registration.transports),
        is_backup_eligible=registration.is_backup_eligible,
        is_backed_up=registration.is_backed_up,
        attestation_object=registration.attestation_object,
        client_data_json=registration.client_data_json,
        vouched_by=vouched_by,
        enrolled_at=now,
        usable_from_at=usable_from_at,
    )
    enrolled = events.PasskeyEnrolled(
        person=person.ref,
        passkey=key.ref,
        attestation_hash=tagged_hash(registration.attestation_object),
        client_data_hash=tagged_hash(registration.client_data_json),
        vouched_by=vouched_by,
        is_recovery=is_recovery,
        usable_from_at=int(usable_from_at.timestamp()),
    )
    remediation = "recovery" if is_recovery else None
    key.enrolment_event = record(enrolled, by=person.ref, facts=about(person, remediation=remediation))
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError:
        raise KeyKnown from None
    return key


def clean_key_name(name: str) -> str:
    """Return a key's name as the person may see it. Raises FieldRefused."""
    name = name.strip() or "Passkey"
    if len(name) > KEY_NAME_MAX or not name.isprintable():
        raise FieldRefused(detail="key name")
    return name


def _person(email: str, name: str, by: str, now: datetime) -> User:
    found = queries.person_by_email(email)
    return found or create_person(email=email, name=name or email.partition("@")[0], by=by, now=now)


def _link(person: User, *, by: str, now: datetime) -> str:
    token = new_secret()
    is_recovery = person.passkeys.exists()
    expires_at = now + LINK_LIFETIME
    Invitation.objects.filter(person=person, used_at=None, expires_at__gt=now).update(expires_at=now)
    Invitation.objects.create(
        token_hash=digest(token),
        person=person,
        is_recovery=is_recovery,
        invited_by=by,
        created_at=now,
        expires_at=expires_at,
    )
    event = events.PersonInvited(
        person=person.ref,
        is_recovery=is_recovery,
        expires_at=int(expires_at.timestamp()),
        email=personal(person, person.email),
    )
    record_personal(event, by=by, person=person)
    return token


def _end_old_keys(person: User, *, by: str, now: datetime) -> None:
    for key in queries.passkeys_of(person):
        Passkey.objects.filter(pk=key.pk).update(ended_at=now, ended_by=by)
        record(
            events.PasskeyEnded(person=person.ref, passkey=key.ref), by=by, facts=about(person, remediation="recovery")
        )
    end_all_sessions(person)


def _tell_of_recovery(person: User) -> None:
    with override(person.locale):
        subject = _("A new passkey was registered for you")
        text = _(
            "Your old passkeys no longer work and you were signed out everywhere. The new one may approve requests "
            "after 24 hours. If this was not you, tell an admin now."
        )
    send_mail(subject, text, None, [person.email])
