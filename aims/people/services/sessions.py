"""Signing in with a discoverable passkey, and the sessions that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from aims.kit.nudge import Topic, nudge
from aims.people import events, queries, throttle, webauthn
from aims.people.errors import KeyRefused, SignInRefused
from aims.people.models import Ceremony, Passkey, SignedInSession, User
from aims.people.options import request_options
from aims.people.services import ceremonies
from aims.people.services.entries import about, personal, record_personal
from aims.people.services.living import hold_living
from aims.people.webauthn import Assertion, WebAuthnRefused
from audit.write import count_failure, record

SEEN_EVERY = timedelta(minutes=1)
USER_AGENT_MAX = 200
SIGN_IN = Ceremony.Purpose.SIGN_IN


def begin_sign_in(*, bound_to: str, source: str, now: datetime) -> dict[str, Any]:
    """Return request options for any discoverable key. source: the caller's address. Raises TooManyAttempts."""
    throttle.spend("begin", source, limit=throttle.BEGINS_PER_MINUTE, now=now)
    challenge = ceremonies.make(SIGN_IN, bound_to=bound_to, now=now)
    return request_options(challenge=challenge, rp_id=settings.RP_ID, allow=[])


def finish_sign_in(response: str, *, bound_to: str, source: str, now: datetime) -> Passkey:
    """Return the key that signed in. Raises SignInRefused, CeremonyGone, TooManyAttempts.

    Unknown key, ended key, deactivated person, wrong signature: one answer, so that nobody learns who exists.
    """
    throttle.spend("finish", source, limit=throttle.FINISHES_PER_MINUTE, now=now)
    try:
        claim = webauthn.claimed(response)
        throttle.spend("key", claim.credential_id.hex(), limit=throttle.PER_KEY_PER_MINUTE, now=now)
        key = _key_that_signs_in(claim.credential_id)
        signed, challenge = verified_assertion(response, person=key.person, keys=[key])
        # WebAuthn L3 §7.2 step 6: who was not known before must be named by the handle.
        if signed.user_handle is None:
            raise KeyRefused(detail="no user handle")
        with transaction.atomic():
            ceremonies.consume(SIGN_IN, challenge, bound_to=bound_to, now=now)
            return use_key(signed, now=now)
    except (WebAuthnRefused, KeyRefused, SignInRefused) as refused:
        count_failure(source, "sign_in_refused")
        raise SignInRefused(detail=refused.detail or refused.code) from None


def start_session(
    key: Passkey, *, session_key: str, user_agent: str, now: datetime, source: str = ""
) -> SignedInSession:
    """Write down a session that its owner can see and end. source: the caller's address, as far as it is known.

    Raises ValuesUnavailable, PersonWasErased.
    """
    session = SignedInSession(
        person=key.person,
        passkey=key,
        session_key=session_key,
        user_agent="".join(letter for letter in user_agent if letter.isprintable())[:USER_AGENT_MAX],
        started_at=now,
        last_seen_at=now,
    )
    with transaction.atomic():
        hold_living(key.person)
        session.save(force_insert=True)
        address = personal(key.person, source)
        event = events.SignedIn(person=key.person.ref, session=session.ref, passkey=key.ref, address=address)
        record_personal(event, by=key.person.ref, person=key.person)
    return session


def end_session(session: SignedInSession, *, by: str, now: datetime) -> None:
    """End a session here and in Django, and close its open pages."""
    person = session.person
    with transaction.atomic():
        event = events.SessionEnded(person=person.ref, session=session.ref)
        end_sessions(SignedInSession.objects.filter(pk=session.pk))
        record(event, by=by, facts=about(person))


def end_all_sessions(person: User) -> int:
    """End every session of a person, inside the caller's transaction; the caller records why. Returns how many."""
    return end_sessions(SignedInSession.objects.filter(person=person))


def end_sessions(sessions: QuerySet[SignedInSession]) -> int:
    """Delete sessions and Django's rows for them, inside the caller's transaction."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    rows = list(sessions.select_related("person"))
    for session in rows:
        store(session.session_key).delete()
    sessions.delete()
    nudge(Topic.SESSION, to={session.person.ref for session in rows})
    return len(rows)


def seen(session_key: str | None, *, now: datetime) -> None:
    """Note that a session is in use, at most once in SEEN_EVERY."""
    if session_key:
        stale = SignedInSession.objects.filter(session_key=session_key, last_seen_at__lt=now - SEEN_EVERY)
        stale.update(last_seen_at=now)


def verified_assertion(response: str, *, person: User, keys: Iterable[Passkey]) -> tuple[Assertion, bytes]:
    """Return the verified assertion and the challenge it signed, which the caller must still consume.

    Raises KeyRefused; a suspected clone is recorded first, in its own transaction.
    """
    keys = list(keys)
    try:
        challenge = webauthn.claimed(response).challenge
        signed = webauthn.verify_assertion(
            response,
            challenge=challenge,
            rp_id=settings.RP_ID,
            origins=settings.RP_ORIGINS,
            keys=queries.stored_keys(keys),
            user_handle=person.ref.encode(),
        )
    except WebAuthnRefused as refused:
        if refused.code == "clone_suspected":
            _record_clone(webauthn.claimed(response).credential_id, person, keys)
        raise KeyRefused(detail=refused.code) from None
    return signed, challenge


def use_key(signed: Assertion, *, now: datetime) -> Passkey:
    """Move a key's counter forward, inside the caller's transaction, in the order of arrival. Raises KeyRefused.

    The key is read again under a lock: between the check of the signature and here it may have ended, its person
    may have been deactivated, or another assertion may have moved the counter. The person before the key, as everywhere.
    """
    User.objects.select_for_update(of=("self",)).get(passkeys__credential_id=signed.credential_id)
    keys = Passkey.objects.select_for_update(of=("self",)).select_related("person")
    key = keys.get(credential_id=signed.credential_id)
    if key.ended_at is not None or not key.person.is_active:
        raise KeyRefused(detail="ended meanwhile")
    if (signed.sign_count or key.sign_count) and signed.sign_count <= key.sign_count:
        raise KeyRefused(detail="clone_suspected")
    key.sign_count, key.is_backed_up, key.last_used_at = signed.sign_count, signed.is_backed_up, now
    key.save(update_fields=["sign_count", "is_backed_up", "last_used_at"])
    return key


def _key_that_signs_in(credential_id: bytes) -> Passkey:
    keys = Passkey.objects.select_related("person").filter(credential_id=credential_id, ended_at=None)
    key = keys.filter(person__is_active=True).first()
    if key is None:
        raise SignInRefused(detail="unknown key")
    return key


def _record_clone(credential_id: bytes, person: User, keys: Iterable[Passkey]) -> None:
    for key in keys:
        if bytes(key.credential_id) == credential_id:
            with transaction.atomic():
                event = events.CloneSuspected(person=person.ref, passkey=key.ref)
                record(event, by=person.ref, facts=about(person))
