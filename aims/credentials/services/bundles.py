"""Verbs on trust bundles: given by an admin, or fetched from where an admin said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from aims.credentials.bundles import Bundle, check_sequence, read_bundle
from aims.credentials.events import (
    TrustBundleChanged,
    TrustBundleDropped,
    TrustBundleNotFetched,
    TrustBundleSourceSet,
)
from aims.credentials.models import TrustBundle
from aims.identifier.models import TrustDomain
from aims.kit import fetch
from aims.kit.errors import AimsError
from aims.kit.ids import tagged_hash
from audit.canonical import CanonicalError, decode
from audit.write import NOBODY, record

BUNDLE_MAX_BYTES = 256 * 1024
REFRESH_MIN_S = 60
REFRESH_MAX_S = 24 * 3600
REFRESH_RETRY = timedelta(minutes=5)  # SPIFFE Federation §5.2.3: on failure, wait for the next interval

Fetch = Callable[[str], bytes]


def set_bundle(domain: TrustDomain, document: object, *, by: str, now: datetime) -> bool:
    """Make this the bundle of a trust domain; return whether anything changed. Raises BundleRefused.

    What it does not hold vouches for nobody from now on.
    """
    bundle = read_bundle(document)
    with transaction.atomic():
        row = _locked(domain)
        return _replaced(row, document, bundle, by=by, now=now)


def set_bundle_endpoint(domain: TrustDomain, url: str, *, by: str, now: datetime) -> bool:
    """Say where a trust domain's bundle is fetched, empty for nowhere; return whether that changed. Raises FetchRefused.

    Web PKI only. The address is the admin's word: nothing that a workload shows leads to one.
    """
    if url:
        fetch.check_url(url)
    with transaction.atomic():
        row = _locked(domain)
        if row.endpoint_url == url:
            return False
        row.endpoint_url, row.due_at, row.failure = url, now if url else None, ""
        row.save()
        event = TrustBundleSourceSet(trust_domain=domain.name, uri_hash=tagged_hash(url.encode()) if url else None)
        record(event, by=by, facts=NOBODY)
    return True


def drop_bundle(domain: TrustDomain, *, by: str) -> bool:
    """Forget a domain's bundle and where it was fetched: nobody of it is vouched for. Return whether there was one.

    Also how a domain begins anew whose sequence went back.
    """
    with transaction.atomic():
        count, _ = TrustBundle.objects.filter(trust_domain=domain).delete()
        if count:
            record(TrustBundleDropped(trust_domain=domain.name), by=by, facts=NOBODY)
    return bool(count)


def fetch_bundle(url: str) -> bytes:
    """Return the bytes of a published bundle. Raises FetchRefused."""
    answer = fetch.fetch(url, max_bytes=BUNDLE_MAX_BYTES, accept="application/json")
    if answer.status != 200:
        raise fetch.FetchRefused("status", f"it answers {answer.status}")
    return answer.body


def refresh_bundles(*, now: datetime, get: Fetch = fetch_bundle) -> int:
    """Fetch every bundle that is due; return how many were fetched. No transaction is open while we fetch."""
    due = TrustBundle.objects.filter(due_at__lte=now).exclude(endpoint_url="").order_by("due_at")
    return sum(_refresh(row, now=now, get=get) for row in due)


def _refresh(row: TrustBundle, *, now: datetime, get: Fetch) -> bool:
    mine = TrustBundle.objects.filter(pk=row.pk, due_at=row.due_at, endpoint_url=row.endpoint_url)
    if mine.update(due_at=now + REFRESH_RETRY) != 1:
        return False  # another worker goes
    try:
        document = decode(get(row.endpoint_url))
        bundle = read_bundle(document)
        return _took(row, document, bundle, now=now)
    except (AimsError, CanonicalError) as error:
        reason = getattr(error, "reason", error.code) if isinstance(error, AimsError) else "not_json"
        _failed(row, reason)
        return False


def _took(row: TrustBundle, document: object, bundle: Bundle, *, now: datetime) -> bool:
    """Store what was fetched, if it is still wanted from there. Raises BundleRefused."""
    with transaction.atomic():
        held = TrustBundle.objects.select_for_update().filter(pk=row.pk, endpoint_url=row.endpoint_url).first()
        if held is None:
            return False
        held.fetched_at, held.failure = now, ""
        held.due_at = now + timedelta(seconds=min(max(bundle.refresh_hint_s, REFRESH_MIN_S), REFRESH_MAX_S))
        held.save()
        _replaced(held, document, bundle, by="system", now=now)
    return True


def _failed(row: TrustBundle, code: str) -> None:
    with transaction.atomic():
        if TrustBundle.objects.filter(pk=row.pk).exclude(failure=code).update(failure=code):
            event = TrustBundleNotFetched(trust_domain=row.trust_domain.name, code=code)
            record(event, by="system", facts=NOBODY)


def _locked(domain: TrustDomain) -> TrustBundle:
    TrustBundle.objects.get_or_create(trust_domain=domain)
    return TrustBundle.objects.select_for_update().get(trust_domain=domain)


def _replaced(row: TrustBundle, document: object, bundle: Bundle, *, by: str, now: datetime) -> bool:
    before: Any = row.document
    if before == document:
        return False
    check_sequence(row.sequence, bundle.sequence)
    old = set(read_bundle(before).thumbprints()) if before else set()
    new = set(bundle.thumbprints())
    row.document, row.sequence, row.changed_at = document, bundle.sequence, now
    row.save()
    event = TrustBundleChanged(
        trust_domain=row.trust_domain.name,
        sequence=bundle.sequence,
        added=sorted(new - old),
        ended=sorted(old - new),
    )
    record(event, by=by, facts=NOBODY)
    return True
