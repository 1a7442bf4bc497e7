"""Feeds from the command line: what the pages do, for who types."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

from audit.feeds import services
from audit.feeds.delivering import key_of, lag_of
from audit.feeds.errors import FeedError as FeedError
from audit.feeds.errors import NoSuchFeed
from audit.feeds.models import FORMATS as FORMATS
from audit.feeds.models import KINDS as KINDS
from audit.feeds.models import Feed

VERBS = {"pause": services.pause, "resume": services.resume, "remove": services.delete}


def add(name: str, address: str, *, kind: str, format: str, is_from_start: bool, by: str) -> str:
    """Give the log to a receiver; return the feed's ref. Raises: FeedError."""
    told = {"name": name, "kind": kind, "format": format, "address": address, "is_from_start": is_from_start}
    return services.create(**told, by=by, now=datetime.now(UTC)).ref  # type: ignore[arg-type]


def move(verb: str, ref: str, *, by: str) -> None:
    """Pause, resume or remove a feed, or have a test message sent. Raises: NoSuchFeed."""
    if verb == "test":
        services.ask_for_test(ref)
    else:
        VERBS[verb](ref, by=by)


def lines() -> Iterator[str]:
    """Yield a line for each feed: ref, state, how far behind, name."""
    for row in Feed.objects.order_by("name", "pk"):
        yield f"{row.ref}  {row.trouble or row.state:16}  {lag_of(row):>10,} behind  {row.name}"


def facts(ref: str) -> Iterator[tuple[str, str]]:
    """Yield label and value of what is known of a feed. Raises: NoSuchFeed."""
    row = _row(ref)
    yield "name", row.name
    yield "state", row.state
    yield "address", f"{row.address} ({row.kind}, {row.format})"
    yield "cursor", f"{row.cursor} ({lag_of(row):,} behind)"
    yield "delivered", str(row.delivered_at or "never")
    if row.trouble:
        yield "trouble", f"{row.trouble}, {row.failures} tries in a row, again at {row.next_try_at or 'once'}"


def key(ref: str) -> str:
    """Return the key that a receiver by HTTP checks signatures with, base64. Raises: NoSuchFeed."""
    if _row(ref).kind != "http":
        raise NoSuchFeed("nothing is signed where a feed goes by syslog")
    return base64.b64encode(key_of(ref)).decode()


def in_trouble(ref: str = "") -> bool:
    """Return whether a feed, or some feed, can't be delivered."""
    rows = Feed.objects.exclude(trouble="")
    return (rows.filter(ref=ref) if ref else rows).exists()


def _row(ref: str) -> Feed:
    row = Feed.objects.filter(ref=ref).first()
    if row is None:
        raise NoSuchFeed(f"there is no feed {ref[:40]}")
    return row
