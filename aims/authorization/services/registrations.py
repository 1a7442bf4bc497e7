"""Clients that register themselves: they wait until somebody admits them. Spec: RFC 7591, RFC 7592."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from aims.authorization.client_errors import NotWaiting, RegistrationsFull, RegistrationTokenRefused
from aims.authorization.client_events import ClientChanged, ClientExpired, ClientRegistered, ClientWithdrawn
from aims.authorization.client_metadata import (
    KEY_MEMBERS,
    PLAIN_MEMBERS,
    ClientMetadata,
    MetadataRefused,
    changed,
    read,
)
from aims.authorization.client_models import ClientRegistration
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import admission
from aims.authorization.services.agents import retire_agent, suspend_agent
from aims.authorization.services.registration_rows import facts_of, hash_of, locked, move, source_of
from aims.credentials.errors import KeysRefused
from aims.credentials.jwks import read_jwks
from aims.identifier.models import AgentState
from aims.kit import fetch
from aims.kit.ids import digest, new_secret
from audit.write import NOBODY, record

WAITING_MAX_SOURCE = 10  # registrations of one address that wait
WAITING_MAX = 500  # in all
WAITS_FOR = timedelta(days=14)
EXPIRED_AT_ONCE_MAX = 200  # a sweep
DYNAMIC, DOCUMENT = ClientRegistration.Kind.DYNAMIC, ClientRegistration.Kind.DOCUMENT
BY = "system"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A new registration. token: of RFC 7592 §3, known to nobody but the client from now on."""

    registration: ClientRegistration
    token: str


def register(document: object, *, address: str, now: datetime) -> Registered:
    """Register a client by what it says of itself. Raises MetadataRefused, RegistrationsFull.

    address: where it came from; only a keyed hash is kept. Admitted at once where a trust rule fits.
    """
    metadata = with_keys(read(document))
    token = new_secret()
    row = ClientRegistration(
        kind=DYNAMIC,
        client_id=f"spiffe://{settings.TRUST_DOMAIN}/registered/{secrets.token_hex(16)}",
        metadata=dict(metadata.members),
        token_hash=digest(token),
        source=source_of(address),
        registered_at=now,
        state_since_at=now,
    )
    open_registration(row, now=now)
    return Registered(registration=row, token=token)


def open_registration(row: ClientRegistration, *, now: datetime) -> None:
    """Store a registration that waits, and admit it where a trust rule fits. Raises RegistrationsFull."""
    with transaction.atomic():
        _check_room(row.source)
        row.save(force_insert=True)
        event = ClientRegistered(
            registration=row.ref,
            client_id=row.client_id,
            kind=str(row.kind),
            method=str(row.metadata["token_endpoint_auth_method"]),
            metadata_hash=hash_of(row.metadata),
        )
        record(event, by=row.source, facts=NOBODY)
        admission.admit_by_rule(row, now=now)
    row.refresh_from_db()


def held_with(ref: str, token: str) -> ClientRegistration:
    """Return the registration that this token is for. Raises RegistrationTokenRefused, the same for each reason."""
    row = ClientRegistration.objects.filter(ref=ref, kind=DYNAMIC).exclude(token_hash="").first()
    is_right = hmac.compare_digest(digest(token), row.token_hash if row else digest(""))
    if row is None or not is_right:
        raise RegistrationTokenRefused(detail=ref)
    return row


def replace(row: ClientRegistration, document: object, *, now: datetime) -> ClientRegistration:
    """Replace what a client said of itself; what it leaves out is gone. Spec: RFC 7592 §2.2. Raises MetadataRefused."""
    metadata = with_keys(read(document))
    with transaction.atomic():
        held = locked(row)
        if held.state == RegistrationState.WITHDRAWN:
            raise RegistrationTokenRefused(detail=row.ref)
        take(held, metadata, by=row.client_id, now=now)
    held.refresh_from_db()
    return held


def take(row: ClientRegistration, metadata: ClientMetadata, *, by: str, now: datetime) -> None:
    """Store what a client says of itself now, in the caller's transaction, which holds the row.

    What an agent was admitted with stays in force until somebody admits it again, and meanwhile it is suspended. Only
    words about itself change nothing; and keys that a metadata document publishes are rotated as at a ``jwks_uri``.
    """
    names = changed(row.metadata, metadata.members)
    if not names:
        return
    ClientRegistration.objects.filter(pk=row.pk).update(metadata=dict(metadata.members))
    row.metadata = dict(metadata.members)
    light = PLAIN_MEMBERS | (KEY_MEMBERS if row.kind == DOCUMENT else frozenset())
    waits_again = row.state == RegistrationState.ADMITTED and not set(names) <= light
    event = ClientChanged(
        registration=row.ref,
        client_id=row.client_id,
        members=list(names),
        is_waiting=waits_again,
        metadata_hash=hash_of(row.metadata),
    )
    record(event, by=by, facts=facts_of(row))
    if waits_again:
        _put_back(row, now=now)
    elif row.state == RegistrationState.ADMITTED:
        admission.follow(row, with_keys_too=bool(KEY_MEMBERS & set(names)), by=by, now=now)
    elif row.state == RegistrationState.EXPIRED:
        move(row, RegistrationState.QUARANTINED, now=now)
    if row.state == RegistrationState.QUARANTINED:
        admission.admit_by_rule(row, now=now)


def withdraw(row: ClientRegistration, *, now: datetime) -> None:
    """End a registration for ever at its client's wish, with the agent that it became. Spec: RFC 7592 §2.3.

    Raises RegistrationTokenRefused: somebody else with the same token was first.
    """
    with transaction.atomic():
        held = locked(row)
        agent = held.agent
        try:
            move(held, RegistrationState.WITHDRAWN, now=now, token_hash="")
        except NotWaiting as error:
            raise RegistrationTokenRefused(detail=row.ref) from error
        if agent is not None and agent.state != AgentState.RETIRED:
            retire_agent(agent, reason=admission.WITHDRAWN, by=row.client_id, now=now)
        event = ClientWithdrawn(registration=row.ref, client_id=row.client_id, agent=agent.ref if agent else None)
        record(event, by=row.client_id, facts=facts_of(held))


def expire_due(*, now: datetime) -> int:
    """Forget clients that nobody admitted in time; return how many. One that was an agent is not forgotten."""
    due = ClientRegistration.objects.filter(
        state=RegistrationState.QUARANTINED, state_since_at__lte=now - WAITS_FOR, agent=None
    )
    expired = 0
    for row in due.order_by("state_since_at")[:EXPIRED_AT_ONCE_MAX]:
        try:
            with transaction.atomic():
                move(row, RegistrationState.EXPIRED, now=now)
                record(ClientExpired(registration=row.ref, client_id=row.client_id), by=BY, facts=facts_of(row))
        except NotWaiting:  # admitted or withdrawn meanwhile
            continue
        expired += 1
    return expired


def with_keys(metadata: ClientMetadata) -> ClientMetadata:
    """Return the metadata with its keys reduced to what is public of them. Raises MetadataRefused."""
    try:
        if uri := metadata.text("jwks_uri"):
            fetch.check_url(uri)
        if endpoint := metadata.text("backchannel_client_notification_endpoint"):
            fetch.check_url(endpoint)
        if "jwks" not in metadata.members:
            return metadata
        keys = read_jwks(metadata.members["jwks"], may_hold_others=False)
    except (KeysRefused, fetch.FetchRefused) as error:
        raise MetadataRefused(str(error.public)) from error
    if not all(key.kid.isprintable() for key in keys):
        raise MetadataRefused("A kid holds a character that can't be kept.")
    return ClientMetadata(members=dict(metadata.members) | {"jwks": {"keys": [dict(key.jwk) for key in keys]}})


def _check_room(source: str) -> None:
    """Raise RegistrationsFull. Two at once may both see the last place: the limits keep the table small, not exact."""
    waiting = ClientRegistration.objects.filter(state=RegistrationState.QUARANTINED)
    if waiting.filter(source=source).count() >= WAITING_MAX_SOURCE or waiting.count() >= WAITING_MAX:
        raise RegistrationsFull


def _put_back(row: ClientRegistration, *, now: datetime) -> None:
    """Let an admitted client wait again, its agent suspended: what it asks for now nobody has looked at."""
    agent = row.agent
    move(row, RegistrationState.QUARANTINED, now=now)
    if agent is None:
        return
    agent.refresh_from_db()  # as it is behind the lock of our row: who resumes it takes that too
    if agent.state == AgentState.ACTIVE:
        suspend_agent(agent, reason=admission.CHANGED, by=BY, now=now)
