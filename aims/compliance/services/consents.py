"""The consent of a second person: asked by one, signed by another, used once by the verb that does it.

A verb that needs one calls ``use()`` inside its own transaction: action, consent and entries commit together or not.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from aims.compliance import consent_bytes, events, queries
from aims.compliance.consent_bytes import Context, Statement
from aims.compliance.errors import (
    ActionUnknown,
    ConsentMissing,
    ConsentOver,
    ContextGone,
    MayNotAsk,
    NotAnother,
    NoteRefused,
    SignatureRefused,
    TooManyOpen,
)
from aims.compliance.kinds import ConsentKind, Reason, are_lawful
from aims.compliance.models import Consent, PreparedConsent
from aims.compliance.states import MOVES, OPEN, ConsentState
from aims.kit.errors import AimsError
from aims.kit.ids import new_ref, tagged_hash
from aims.people.errors import KeyRefused
from aims.people.models import Passkey, Role, User
from aims.people.options import request_options
from aims.people.queries import descriptors, roles_held
from aims.people.services.sessions import use_key, verified_assertion
from aims.people.webauthn import Assertion
from audit.write import NOBODY, Facts, record

LIFETIME = timedelta(hours=72)
OPEN_MAX = 50  # of one asker
NOTE_MAX = 1_000  # characters
SWEPT_AT_ONCE = 100


def ask(kind: str, params: Mapping[str, Any], *, reason: str, note: str, by: User, now: datetime) -> Consent:
    """Ask for the consent of another person to exactly this. It is open for LIFETIME.

    params: exactly those of the kind (``kinds.SPECS``); references and numbers. note: the asker's own words, in the
    signed bytes and never in the log. Raises MayNotAsk, ActionUnknown, NoteRefused, TooManyOpen.
    """
    if Role.ADMIN not in roles_held(by, at=now) or not by.is_active:
        raise MayNotAsk(detail=by.ref)
    if reason not in Reason.values or not are_lawful(kind, params):
        raise ActionUnknown(detail=kind[:32])
    ref = new_ref("con")
    expires_at = (now + LIFETIME).replace(microsecond=0)
    said = Statement(
        iss=settings.ISSUER,
        consent=ref,
        kind=str(kind),
        params=dict(params),
        reason=str(reason),
        note=_note(note, reason),
        salt=secrets.token_bytes(consent_bytes.SALT_BYTES),
        asked_by=by.ref,
        iat=int(now.timestamp()),
        exp=int(expires_at.timestamp()),
    )
    raw = consent_bytes.build_statement(said)
    consent = Consent(
        ref=ref,
        kind=str(kind),
        statement=raw,
        statement_hash=tagged_hash(raw),
        params_hash=consent_bytes.params_hash(kind, dict(params)),
        asked_by=by,
        asked_at=now,
        expires_at=expires_at,
    )
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.pk)  # one question after another, so that they can be counted
        if Consent.objects.filter(asked_by=by, state__in=_values(OPEN), expires_at__gt=now).count() >= OPEN_MAX:
            raise TooManyOpen(detail=by.ref)
        consent.save(force_insert=True)
        record(_asked(consent, str(reason)), by=by.ref, facts=_facts("ask"))
    return consent


def prepare(consent: Consent, *, person: User, session_key: str, locale: str, now: datetime) -> dict[str, Any]:
    """Return what the browser must sign: request options over fresh context bytes of this person and session.

    Raises ConsentOver, NotAnother, NotEntitled, NoKeyForConsent.
    """
    _check(consent, person, now)
    expires_at = min(consent.expires_at, now + timedelta(seconds=consent_bytes.LIFETIME_MAX_S)).replace(microsecond=0)
    context = Context(
        statement_hash=tagged_hash(bytes(consent.statement)),
        decision="confirm",
        person=person.ref,
        nonce=secrets.token_bytes(consent_bytes.NONCE_BYTES),
        rp_id=settings.RP_ID,
        locale=locale,
        iat=int(now.timestamp()),
        exp=int(expires_at.timestamp()),
    )
    if context.exp <= context.iat:
        raise ConsentOver(detail=consent.ref)
    raw = consent_bytes.build_context(context)
    challenge = consent_bytes.challenge_of(raw)
    PreparedConsent.objects.update_or_create(
        consent=consent,
        person=person,
        session_key=session_key,
        defaults={"context": raw, "challenge": challenge, "expires_at": expires_at},
    )
    keys = queries.signing_keys(consent, person, now=now)
    return request_options(challenge=challenge, rp_id=settings.RP_ID, allow=descriptors(keys))


def confirm(consent: Consent, *, person: User, session_key: str, response: str, now: datetime) -> None:
    """Take a signed yes of a second person. Nothing happens yet: the action uses it. A refusal is recorded.

    Raises NotAnother, NotEntitled, NoKeyForConsent, ConsentOver, ContextGone, SignatureRefused.
    """
    with _refusals(consent, person, attempted="confirm"):
        _check(consent, person, now)
        signed, prepared = _verified(consent, person, session_key, response, now)
        with transaction.atomic():
            held = _locked(consent)
            _check(held, person, now)
            _consume(prepared, now)
            key = _used(signed, now)
            _move(
                held,
                ConsentState.CONFIRMED,
                confirmed_by=person,
                confirmed_at=now,
                passkey=key,
                context=bytes(prepared.context),
                authenticator_data=signed.authenticator_data,
                client_data_json=signed.client_data_json,
                signature=signed.signature,
            )
            record(_confirmed(held, key, bytes(prepared.context)), by=person.ref, facts=_facts("approve"))


def deny(consent: Consent, *, person: User, now: datetime) -> None:
    """Stop it, also after another has confirmed and before it is used. Raises NotAnother, NotEntitled, ConsentOver."""
    with _refusals(consent, person, attempted="deny"):
        if error := queries.why_not_entitled(consent, person, now=now):
            raise error
        with transaction.atomic():
            held = _stopped(consent, ConsentState.DENIED, person, now)
            event = events.ConsentDenied(consent=held.ref, kind=held.kind, was_confirmed=_was_confirmed(held))
            record(event, by=person.ref, facts=_facts("deny"))


def withdraw(consent: Consent, *, person: User, now: datetime) -> None:
    """Take back what one asked oneself. Raises NotAnother for somebody else's, ConsentOver."""
    with _refusals(consent, person, attempted="withdraw"):
        if person.pk != consent.asked_by_id:
            raise NotAnother(detail="somebody else's")
        with transaction.atomic():
            held = _stopped(consent, ConsentState.WITHDRAWN, person, now)
            event = events.ConsentWithdrawn(consent=held.ref, kind=held.kind, was_confirmed=_was_confirmed(held))
            record(event, by=person.ref, facts=_facts("not_applicable"))


def use(ref: str, *, kind: ConsentKind, params: Mapping[str, Any], by: str, now: datetime) -> Consent:
    """Use a confirmed consent up, in the transaction of the action it was given for. Raises ConsentMissing.

    kind, params: what is about to be done; they must be what was signed. Anything else leaves the consent unused.
    """
    assert connection.in_atomic_block, "the action and its consent commit together"
    wanted = consent_bytes.params_hash(kind, dict(params))
    mine = Consent.objects.filter(ref=ref, kind=kind, params_hash=wanted, state=ConsentState.CONFIRMED)
    # The condition decides who wins where one consent is used twice at once.
    if not mine.filter(expires_at__gt=now).update(state=ConsentState.USED, ended_at=now):
        raise ConsentMissing(detail=f"{kind} {ref[:40]}")
    used = Consent.objects.select_related("asked_by", "confirmed_by").get(ref=ref)
    assert used.confirmed_by is not None
    event = events.ConsentUsed(
        consent=used.ref,
        kind=used.kind,
        params_hash=used.params_hash,
        asked_by=used.asked_by.ref,
        confirmed_by=used.confirmed_by.ref,
    )
    record(event, by=by, facts=_facts("approve"))
    return used


def expire_due(now: datetime) -> int:
    """End what nobody confirmed or used in time, and drop contexts that can't be signed any more. Return how many."""
    PreparedConsent.objects.filter(expires_at__lte=now).delete()
    due = Consent.objects.filter(state__in=_values(OPEN), expires_at__lte=now).order_by("expires_at")
    return sum(_expire(pk, now) for pk in due.values_list("pk", flat=True)[:SWEPT_AT_ONCE])


def _expire(pk: int, now: datetime) -> int:
    with transaction.atomic():
        held = Consent.objects.select_for_update().get(pk=pk)
        if ConsentState(held.state) not in OPEN:
            return 0
        _move(held, ConsentState.EXPIRED, ended_at=now)
        event = events.ConsentExpired(consent=held.ref, kind=held.kind, was_confirmed=_was_confirmed(held))
        record(event, by="system", facts=_facts("not_applicable"))
    return 1


@contextmanager
def _refusals(consent: Consent, person: User, *, attempted: str) -> Iterator[None]:
    """Record a refusal in a transaction of its own, after the failed one has ended, and let it pass on."""
    try:
        yield
    except AimsError as refusal:
        event = events.ConsentRefused(consent=consent.ref, attempted=attempted, reason=refusal.code)
        with transaction.atomic():
            record(event, by=person.ref, facts=_facts("not_applicable"))
        raise


def _check(consent: Consent, person: User, now: datetime) -> None:
    if error := queries.why_not(consent, person, now=now):
        raise error
    if consent.state != ConsentState.ASKED or consent.expires_at <= now:
        raise ConsentOver(detail=consent.ref)


def _verified(
    consent: Consent, person: User, session_key: str, response: str, now: datetime
) -> tuple[Assertion, PreparedConsent]:
    """Return the verified assertion and the context that it signed, outside any transaction."""
    keys = queries.signing_keys(consent, person, now=now)
    try:
        signed, challenge = verified_assertion(response, person=person, keys=keys)
    except KeyRefused as refused:
        raise SignatureRefused(detail=refused.detail) from None
    # The binding is part of the look-up, so that nobody can burn, or even probe, somebody else's context.
    prepared = PreparedConsent.objects.filter(
        challenge=challenge, consent=consent, person=person, session_key=session_key, expires_at__gt=now
    ).first()
    if prepared is None:
        raise ContextGone(detail="no such context")
    said = consent_bytes.parse_context(bytes(prepared.context))
    # What was prepared must be what is stored now: the statement's bytes, hashed again.
    if (said.statement_hash, said.person) != (tagged_hash(bytes(consent.statement)), person.ref):
        raise ContextGone(detail="the statement is not the one that was shown")
    return signed, prepared


def _consume(prepared: PreparedConsent, now: datetime) -> None:
    rows = PreparedConsent.objects.filter(pk=prepared.pk, challenge=bytes(prepared.challenge), expires_at__gt=now)
    gone, _by_model = rows.delete()
    if gone != 1:
        raise ContextGone(detail="spent by another attempt")


def _used(signed: Assertion, now: datetime) -> Passkey:
    try:
        return use_key(signed, now=now)
    except KeyRefused as refused:
        raise SignatureRefused(detail=refused.detail) from None


def _stopped(consent: Consent, to: ConsentState, person: User, now: datetime) -> Consent:
    held = _locked(consent)
    if held.expires_at <= now:
        raise ConsentOver(detail=consent.ref)
    _move(held, to, stopped_by=person, ended_at=now)
    return held


def _locked(consent: Consent) -> Consent:
    """Return the consent as it stands now, held until commit."""
    rows = Consent.objects.select_related("asked_by").select_for_update(of=("self",))
    return rows.get(pk=consent.pk)


def _move(held: Consent, to: ConsentState, **values: Any) -> None:
    """Move a consent, by a condition on where it may come from. Raises ConsentOver where no row moved."""
    rows = Consent.objects.filter(pk=held.pk, state__in=_values(MOVES[to]))
    if not rows.update(state=to, **values):
        raise ConsentOver(detail=held.ref)


def _was_confirmed(held: Consent) -> bool:
    return held.state == ConsentState.CONFIRMED


def _note(note: str, reason: str) -> str:
    clean = " ".join(note.split())  # one paragraph: a line break would be shown as the control character that it is
    is_needed = reason == Reason.OTHER
    if len(clean) > NOTE_MAX or (is_needed and not clean) or not clean.isprintable():
        raise NoteRefused
    return clean


def _values(states: frozenset[ConsentState]) -> list[str]:
    return [str(state) for state in states]


def _facts(decision: str) -> Facts:
    return replace(NOBODY, decision=decision)


def _asked(consent: Consent, reason: str) -> events.ConsentAsked:
    return events.ConsentAsked(
        consent=consent.ref,
        kind=consent.kind,
        params_hash=consent.params_hash,
        statement_hash=consent.statement_hash,
        reason=reason,
        expires_at=int(consent.expires_at.timestamp()),
    )


def _confirmed(held: Consent, key: Passkey, context: bytes) -> events.ConsentConfirmed:
    return events.ConsentConfirmed(
        consent=held.ref,
        kind=held.kind,
        statement_hash=held.statement_hash,
        context_hash=tagged_hash(context),
        asked_by=held.asked_by.ref,
        passkey=key.ref,
        vouched_by_asker=key.vouched_by == held.asked_by.ref,
    )
