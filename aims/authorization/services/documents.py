"""Clients that publish what they are: their ``client_id`` is the address of a metadata document.

Spec: draft-ietf-oauth-client-id-metadata-document §3 to §6. Only ``look_up`` fetches, and only the authorization endpoint
calls it: no request for a token ever waits for somebody else's server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from aims.authorization.client_errors import ClientAddressRefused, DocumentRefused
from aims.authorization.client_metadata import ClientMetadata, MetadataRefused, read
from aims.authorization.client_models import ClientRegistration
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import registrations
from aims.authorization.services.registration_rows import locked, move, source_of
from aims.credentials.errors import KeysRefused
from aims.identifier.uri import PUBLISHED, IdentifierRefused, parse_published
from aims.kit import fetch
from aims.people import throttle
from audit.canonical import CanonicalError, decode

DOCUMENT_MAX_BYTES = 5 * 1024  # §4.3 recommends it
DEPTH_MAX = 8
# §4.4: cache headers count within these bounds.
FRESH_LEAST, FRESH_DEFAULT, FRESH_MOST = timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24)
ASK_AGAIN_AFTER = timedelta(minutes=1)  # a known client's document, whatever came of the last time
NEW_PER_MINUTE_SOURCE, NEW_PER_MINUTE = 10, 60  # addresses that nobody asked for before
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})", re.IGNORECASE)
_SECRETS = ("client_secret", "client_secret_expires_at")

Fetch = Callable[[str], fetch.Fetched]


def is_address(client_id: str) -> bool:
    """Return whether a ``client_id`` says that it is the address of a document. No other identifier of ours does."""
    return client_id.startswith(f"{PUBLISHED}://")


def fetch_document(url: str) -> fetch.Fetched:
    """Return the answer of a metadata document's address. Raises FetchRefused."""
    return fetch.fetch(url, max_bytes=DOCUMENT_MAX_BYTES, accept="application/json")


def look_up(client_id: str, *, address: str, now: datetime, get: Fetch | None = None) -> ClientRegistration:
    """Return the registration of a published client, fetched anew if what we hold is not fresh any more.

    Call it outside transactions. address: who asks, counted where the client is new. A known client whose document
    can't be had stays as it was: what it was admitted with is ours. get: ``fetch_document``, but in tests.
    Raises ClientAddressRefused, DocumentRefused, RegistrationsFull, TooManyAttempts.
    """
    if not settings.CLIENT_DOCUMENTS:
        raise ClientAddressRefused("Clients are not known by their metadata documents here.")
    check_address(client_id)
    row = ClientRegistration.objects.filter(client_id=client_id).first()
    if row is not None and not _is_ours_to_ask(row, now=now):
        return row
    if row is None:
        throttle.spend("document", source_of(address), limit=NEW_PER_MINUTE_SOURCE, now=now)
        throttle.spend("documents", "", limit=NEW_PER_MINUTE, now=now)
    try:
        answer = (get or fetch_document)(client_id)
        metadata = read_document(client_id, answer)
    except (fetch.FetchRefused, DocumentRefused) as error:
        if row is not None and row.state == RegistrationState.ADMITTED:
            return row
        raise error if isinstance(error, DocumentRefused) else DocumentRefused(str(error.public)) from error
    fresh_until = now + freshness(answer.headers)
    try:
        return _keep(client_id, metadata, fresh_until=fresh_until, address=address, now=now)
    except IntegrityError:  # two came at once with the same new address
        return ClientRegistration.objects.get(client_id=client_id)
    except KeysRefused as error:  # a key that it published is registered for somebody else: nothing was taken
        raise DocumentRefused(str(error.public)) from error


def check_address(client_id: str) -> None:
    """Raise ClientAddressRefused where a ``client_id`` can't be the address of a document. Spec: §3.

    Stricter than the draft by what an identifier may not have (draft-ietf-wimse-identifier §3): no port, no query.
    """
    try:
        parse_published(client_id)
        fetch.check_url(client_id)
    except (IdentifierRefused, fetch.FetchRefused) as error:
        raise ClientAddressRefused(str(error.public)) from error


def read_document(client_id: str, answer: fetch.Fetched) -> ClientMetadata:
    """Return what a document says, if it is one, is about this client, and asks for no secret. Raises DocumentRefused."""
    if answer.status != 200:  # §4: no redirect is followed, and an error page is no document
        raise DocumentRefused(f"The metadata document answers {answer.status}.")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise DocumentRefused("The metadata document is not JSON by its Content-Type.")
    try:
        document = decode(answer.body, max_depth=DEPTH_MAX)
        _check_own(client_id, document)
        return registrations.with_keys(read(document))
    except (CanonicalError, MetadataRefused) as error:
        said = error.public if isinstance(error, MetadataRefused) else f"It is not strict JSON: {error}."
        raise DocumentRefused(f"The metadata document can't be used. {said}") from error


def freshness(headers: Mapping[str, str]) -> timedelta:
    """Return how long a document need not be fetched again: what its server says, within our bounds. Spec: RFC 9111 §5.2.2."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return FRESH_LEAST
    found = _MAX_AGE.search(control)
    if found is None:
        return FRESH_DEFAULT
    return min(max(timedelta(seconds=int(found[1])), FRESH_LEAST), FRESH_MOST)


def _check_own(client_id: str, document: Any) -> None:
    if not isinstance(document, dict) or document.get("client_id") != client_id:
        raise MetadataRefused("Its client_id is not the address that it was fetched from.")
    # §4.1: a secret in public is none, and a method that needs one can't be meant.
    method = document.get("token_endpoint_auth_method")
    if any(name in document for name in _SECRETS) or str(method).startswith("client_secret"):
        raise MetadataRefused("It has to do with a client secret.")


def _is_ours_to_ask(row: ClientRegistration, *, now: datetime) -> bool:
    """Return whether this caller goes and asks: what we hold is not fresh, and nobody asked in the last minute."""
    if row.kind != ClientRegistration.Kind.DOCUMENT or row.state == RegistrationState.WITHDRAWN:
        return False
    if row.fresh_until_at is not None and row.fresh_until_at > now:
        return False
    is_due = Q(asked_at=None) | Q(asked_at__lte=now - ASK_AGAIN_AFTER)
    return ClientRegistration.objects.filter(is_due, pk=row.pk).update(asked_at=now) == 1


def _keep(
    client_id: str, metadata: ClientMetadata, *, fresh_until: datetime, address: str, now: datetime
) -> ClientRegistration:
    """Store what was fetched: a new client waits, a known one changes by ``take``, and a forgotten one waits anew."""
    new = ClientRegistration(
        kind=ClientRegistration.Kind.DOCUMENT,
        client_id=client_id,
        metadata=dict(metadata.members),
        source=source_of(address),
        registered_at=now,
        state_since_at=now,
        asked_at=now,
        fresh_until_at=fresh_until,
    )
    with transaction.atomic():
        held = ClientRegistration.objects.filter(client_id=client_id).first()
        if held is None:
            registrations.open_registration(new, now=now)
            return new
        row = locked(held)
        if row.state == RegistrationState.EXPIRED:
            move(row, RegistrationState.QUARANTINED, now=now)
        registrations.take(row, metadata, by=client_id, now=now)
        ClientRegistration.objects.filter(pk=row.pk).update(fresh_until_at=fresh_until)
    row.refresh_from_db()
    return row
