"""Verbs on the keys that agents and resource servers register."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from aims.credentials.errors import KeysRefused
from aims.credentials.events import KeySourceSet, KeysRegistered
from aims.credentials.jwks import PublicKey, read_jwks
from aims.credentials.models import KeySource, RegisteredKey
from aims.credentials.services.record import key_facts
from aims.identifier.models import Agent
from aims.identifier.services import raise_version
from aims.kit import fetch
from aims.kit.errors import AimsError
from aims.kit.ids import tagged_hash
from audit.canonical import CanonicalError, decode
from audit.write import record

JWKS_MAX_BYTES = 64 * 1024
REFETCH_AFTER = timedelta(minutes=1)  # an unknown kid refetches at most so often

Fetch = Callable[[str], bytes]


def register_keys(holder_ref: str, jwks: object, *, by: str, now: datetime) -> tuple[PublicKey, ...]:
    """Make this JWK set the keys of a holder; keys that are not in it end now. The same set again writes no entry.

    Raises KeysRefused.
    """
    keys = read_jwks(jwks, may_hold_others=False)
    wanted = {(key.thumbprint, key.kid, key.algorithm): key for key in keys}
    with transaction.atomic():
        rows = {
            (row.thumbprint, row.kid, row.algorithm): row
            for row in RegisteredKey.objects.select_for_update().filter(holder_ref=holder_ref, ended_at=None)
        }
        added, ended = sorted(wanted.keys() - rows.keys()), sorted(rows.keys() - wanted.keys())
        if not added and not ended:
            return keys
        RegisteredKey.objects.filter(pk__in=[rows[name].pk for name in ended]).update(ended_at=now)
        _insert([_row(holder_ref, wanted[name], now) for name in added])
        _count_change(holder_ref)
        event = KeysRegistered(holder=holder_ref, added=[n[0] for n in added], ended=[n[0] for n in ended])
        record(event, by=by, facts=key_facts(holder_ref))
    return keys


def set_jwks_uri(holder_ref: str, uri: str, *, by: str, now: datetime) -> None:
    """Say where a holder publishes its keys; they are fetched when first needed. Raises FetchRefused."""
    fetch.check_url(uri)
    with transaction.atomic():
        source = KeySource.objects.select_for_update().filter(holder_ref=holder_ref).first()
        if source is not None and source.jwks_uri == uri:
            return
        KeySource.objects.update_or_create(
            holder_ref=holder_ref, defaults={"jwks_uri": uri, "jwks": None, "fetched_at": None, "refused_at": None}
        )
        _count_change(holder_ref)
        record(KeySourceSet(holder=holder_ref, uri_hash=tagged_hash(uri.encode())), by=by, facts=key_facts(holder_ref))


def drop_jwks_uri(holder_ref: str, *, by: str, now: datetime) -> None:
    """Fetch no more keys for a holder; those that came from there are gone at once."""
    with transaction.atomic():
        count, _ = KeySource.objects.filter(holder_ref=holder_ref).delete()
        if count:
            _count_change(holder_ref)
            record(KeySourceSet(holder=holder_ref, uri_hash=None), by=by, facts=key_facts(holder_ref))


def fetch_jwks(uri: str) -> bytes:
    """Return the bytes of a published JWK set. Raises FetchRefused."""
    answer = fetch.fetch(uri, max_bytes=JWKS_MAX_BYTES, accept="application/jwk-set+json, application/json")
    if answer.status != 200:
        raise fetch.FetchRefused("status", f"it answers {answer.status}")
    return answer.body


def refresh_source(holder_ref: str, *, now: datetime, get: Fetch = fetch_jwks) -> bool:
    """Fetch a holder's published keys again; return whether we have a new copy.

    At most once a minute, whoever asks: the caller that moves the row goes, everybody else stays with the copy.
    No transaction is open while we fetch.
    """
    before = now - REFETCH_AFTER
    due = Q(refused_at=None) | Q(refused_at__lt=before)
    # refused_at is set before we go, and cleared on success: a slow or hanging source is not asked by everybody.
    fresh = Q(fetched_at=None) | Q(fetched_at__lt=before)
    if KeySource.objects.filter(due, fresh, holder_ref=holder_ref).update(refused_at=now) != 1:
        return False
    uri = KeySource.objects.values_list("jwks_uri", flat=True).get(holder_ref=holder_ref)
    try:
        keys = read_jwks(decode(get(uri)), may_hold_others=True)
    except (AimsError, CanonicalError):
        return False
    jwks = {"keys": [dict(key.jwk) for key in keys]}
    return _replace_copy(holder_ref, uri, jwks, now=now)


def _replace_copy(holder_ref: str, uri: str, jwks: dict[str, Any], *, now: datetime) -> bool:
    """Store what was published, if the address is still the one that we asked; other keys are a change of the agent."""
    with transaction.atomic():
        row = KeySource.objects.select_for_update().filter(holder_ref=holder_ref, jwks_uri=uri).first()
        if row is None:
            return False
        KeySource.objects.filter(pk=row.pk).update(jwks=jwks, fetched_at=now, refused_at=None)
        if row.jwks != jwks:
            _count_change(holder_ref)
    return True


def _row(holder_ref: str, key: PublicKey, now: datetime) -> RegisteredKey:
    return RegisteredKey(
        holder_ref=holder_ref,
        kid=key.kid,
        thumbprint=key.thumbprint,
        algorithm=key.algorithm,
        jwk=dict(key.jwk),
        registered_at=now,
    )


def _insert(rows: list[RegisteredKey]) -> None:
    """Insert keys; one key has one holder, which the database decides."""
    try:
        with transaction.atomic():
            RegisteredKey.objects.bulk_create(rows)
    except IntegrityError as error:
        raise KeysRefused("One of these keys is registered for somebody else. Make a key of its own.") from error


def _count_change(holder_ref: str) -> None:
    if Agent.objects.filter(ref=holder_ref).exists():
        raise_version(holder_ref)
