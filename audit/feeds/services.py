"""Verbs of feeds: create, pause, resume, delete, test. Delivery is in ``delivering``."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import transaction

from audit import read
from audit.feeds import wire
from audit.feeds.errors import AddressRefused, NoSuchFeed, TooManyFeeds
from audit.feeds.events import FeedCreated, FeedDeleted, FeedPaused, FeedResumed
from audit.feeds.models import Feed
from audit.write import NOBODY, record

FEEDS_MAX = 20


def create(*, name: str, kind: str, format: str, address: str, is_from_start: bool, by: str, now: datetime) -> Feed:
    """Give the log to a receiver, from its first entry or from now on. Raises: AddressRefused, TooManyFeeds."""
    try:
        wire.parse_address(kind, address)
    except (KeyError, ValueError) as error:
        raise AddressRefused(address) from error
    after = -1 if is_from_start else read.size() - 1
    row = Feed(name=name, kind=kind, format=format, address=address, cursor=after, created_by=by, created_at=now)
    digest = "sha-256:" + hashlib.sha256(address.encode()).hexdigest()
    with transaction.atomic():
        if Feed.objects.count() >= FEEDS_MAX:
            raise TooManyFeeds(f"there are at most {FEEDS_MAX}")
        row.save(force_insert=True)
        event = FeedCreated(feed=row.ref, kind=kind, format=format, address_hash=digest, after=after)
        record(event, by=by, facts=NOBODY)
    return row


def pause(ref: str, *, by: str) -> None:
    """Stop delivery until it is resumed. Raises: NoSuchFeed."""
    with transaction.atomic():
        row = _moved(ref, "active", "paused")
        record(FeedPaused(feed=ref, cursor=row.cursor), by=by, facts=NOBODY)


def resume(ref: str, *, by: str) -> None:
    """Go on behind the cursor, at once. Raises: NoSuchFeed."""
    with transaction.atomic():
        row = _moved(ref, "paused", "active")
        Feed.objects.filter(pk=row.pk).update(next_try_at=None)
        record(FeedResumed(feed=ref, cursor=row.cursor), by=by, facts=NOBODY)


def delete(ref: str, *, by: str) -> None:
    """End a feed. Raises: NoSuchFeed."""
    with transaction.atomic():
        row = Feed.objects.select_for_update().filter(ref=ref).first()
        if row is None or not Feed.objects.filter(pk=row.pk).delete()[0]:
            raise NoSuchFeed(ref)
        record(FeedDeleted(feed=ref, cursor=row.cursor), by=by, facts=NOBODY)


def ask_for_test(ref: str) -> None:
    """Have a test message sent with the next delivery, whatever the feed's back-off. Raises: NoSuchFeed."""
    if not Feed.objects.filter(ref=ref).update(test_due=True, next_try_at=None):
        raise NoSuchFeed(ref)


def _moved(ref: str, before: str, after: str) -> Feed:
    if not Feed.objects.filter(ref=ref, state=before).update(state=after):
        raise NoSuchFeed(ref)
    return Feed.objects.get(ref=ref)
