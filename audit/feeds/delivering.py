"""Delivery of one feed: read on behind the cursor, send, move the cursor when the receiver has it. At least once, no gap.

Only what a checkpoint covers is sent. A crash between acknowledgement and cursor sends a batch twice; receivers see it by
the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from audit import read
from audit.access import EVERYTHING
from audit.errors import NoLog
from audit.exports.entries import in_range, title_of
from audit.exports.product import version
from audit.exports.spans import signed_size
from audit.feeds import wire
from audit.feeds.errors import NotDelivered
from audit.feeds.events import FeedRecovered, FeedStumbled
from audit.feeds.models import Feed
from audit.outside import Ask
from audit.write import NOBODY, record, stamp

BATCH_MAX = 500  # entries
BATCH_MAX_BYTES = 512 * 1024
BATCHES_MAX = 20  # in one turn of one feed, so that none keeps a worker for itself
LEASE = timedelta(minutes=2)
BACK_OFF_S = (1, 2, 5, 15, 60, 300, 900)
RETRY_AFTER_MAX_S = 3600
CLOSE_WITHIN_S = 10.0
CONTENT_TYPES = {"canonical": "application/jsonl", "ocsf": "application/jsonl", "cef": "text/plain; charset=utf-8"}


class Connect(Protocol):
    """Opens a connection by the rules of the network. Raises: OSError."""

    def __call__(self, host: str, port: int, *, is_tls: bool) -> socket.socket: ...


@dataclass(frozen=True)
class Network:
    """How feeds reach their receivers."""

    ask: Ask
    connect: Connect


def deliver_due(network: Network, *, now: Callable[[], datetime]) -> int:
    """Deliver to every feed that is due; return how many entries were acknowledged."""
    due = Feed.objects.filter(Q(state="active") | Q(test_due=True)).filter(_is_free(now()))
    return sum(_turn(row, network, now) for row in due.order_by("next_try_at", "pk"))


def key_of(ref: str) -> bytes:
    """Return the key that signs what goes to a feed. It is made from the deployment's secret, and stored nowhere."""
    return hmac.new(settings.SECRET_KEY.encode(), b"audit-feed/v1\0" + ref.encode(), hashlib.sha256).digest()


def lag_of(row: Feed) -> int:
    """Return how many signed entries the receiver does not have yet."""
    try:
        return max(0, signed_size() - 1 - row.cursor)
    except NoLog:
        return 0


def _is_free(now: datetime) -> Q:
    return Q(Q(claimed_until=None) | Q(claimed_until__lte=now)) & Q(Q(next_try_at=None) | Q(next_try_at__lte=now))


def _turn(row: Feed, network: Network, now: Callable[[], datetime]) -> int:
    claim = secrets.token_hex(8)
    mine = Feed.objects.filter(pk=row.pk).filter(_is_free(now()))
    if not mine.update(claim=claim, claimed_until=now() + LEASE):
        return 0
    row.refresh_from_db()
    before = row.cursor
    try:
        _send_all(row, network, now)
    except NotDelivered as error:
        _stumble(row, error, now())
    finally:
        Feed.objects.filter(pk=row.pk, claim=claim).update(claim="", claimed_until=None)
    return row.cursor - before


def _send_all(row: Feed, network: Network, now: Callable[[], datetime]) -> None:
    if row.test_due:
        _send(row, [wire.test_line(row.ref, at=stamp(now()))], network, now())
        Feed.objects.filter(pk=row.pk).update(test_due=False, tested_at=now())
        _recover(row)
    if row.state != "active":
        return
    try:
        size = signed_size()
    except NoLog:
        return
    for _ in range(BATCHES_MAX):
        lines, last = _batch(row, size)
        is_last = last + 1 >= size
        if is_last and row.checkpoint_size < size:
            lines.append(wire.checkpoint_line(read.checkpoint_note(), at=stamp(now())))
        if not lines:
            return
        _send(row, lines, network, now())
        moved: dict[str, object] = {"cursor": last, "delivered_at": now(), "claimed_until": now() + LEASE}
        if is_last:
            moved["checkpoint_size"] = size
        if not Feed.objects.filter(pk=row.pk, claim=row.claim, state="active").update(**moved):
            return  # paused, deleted or taken over meanwhile
        row.cursor, row.checkpoint_size = last, size if is_last else row.checkpoint_size
        _recover(row)


def _batch(row: Feed, size: int) -> tuple[list[wire.Line], int]:
    lines: list[wire.Line] = []
    last, size_bytes = row.cursor, 0
    for item in in_range(row.cursor + 1, min(size, row.cursor + 1 + BATCH_MAX), scope=EVERYTHING):
        line = wire.entry_line(
            row.format,
            index=item.index,
            leaf=item.leaf,
            canon=item.canon,
            entry=item.entry,
            title=title_of(item.entry["type"]),
            version=version(),
        )
        if lines and size_bytes + len(line.text) > BATCH_MAX_BYTES:
            return lines, last
        lines.append(line)
        last, size_bytes = item.index, size_bytes + len(line.text)
    # Indexes between two generations of the log may have no entry: step over them.
    return lines, max(last, min(size, row.cursor + 1 + BATCH_MAX) - 1)


def _send(row: Feed, lines: list[wire.Line], network: Network, now: datetime) -> None:
    (_post if row.kind == "http" else _stream)(row, lines, network, now)


def _post(row: Feed, lines: list[wire.Line], network: Network, now: datetime) -> None:
    body = wire.json_lines(lines)
    headers = wire.signed_headers(
        url=row.address,
        body=body,
        content_type=CONTENT_TYPES[row.format],
        key=key_of(row.ref),
        key_id=row.ref,
        created=int(now.timestamp()),
    )
    try:
        answer = network.ask("POST", row.address, body=body, headers=headers, max_bytes=64 * 1024)
    except OSError as error:
        raise NotDelivered("unreachable") from error
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"status_{answer.status}", _retry_after(answer.headers.get("retry-after", "")))


def _stream(row: Feed, lines: list[wire.Line], network: Network, now: datetime) -> None:
    """Send messages over TCP or TLS; they count as received once the receiver has closed after our end.

    Syslog acknowledges nothing (RFC 6587 §3.2): what a socket took may be lost with its buffer. An orderly end may not.
    """
    scheme, host, port = wire.parse_address("syslog", row.address)
    try:
        connection = network.connect(host, port, is_tls=scheme == "tls")
        with connection:
            connection.settimeout(CLOSE_WITHIN_S)
            connection.sendall(wire.syslog(lines, host=urlsplit(settings.ISSUER).hostname or ""))
            _closed_by_both(connection)
    except OSError as error:
        raise NotDelivered("unreachable") from error


def _closed_by_both(connection: socket.socket) -> None:
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            connection = connection.unwrap()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def _retry_after(text: str) -> int | None:
    return min(int(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _stumble(row: Feed, error: NotDelivered, now: datetime) -> None:
    wait_s = error.retry_after_s or BACK_OFF_S[min(row.failures, len(BACK_OFF_S) - 1)]
    with transaction.atomic():
        Feed.objects.filter(pk=row.pk).update(
            failures=F("failures") + 1, trouble=error.code, next_try_at=now + timedelta(seconds=wait_s)
        )
        if not row.failures:
            record(FeedStumbled(feed=row.ref, code=error.code, cursor=row.cursor), by="system", facts=NOBODY)


def _recover(row: Feed) -> None:
    if row.failures:
        with transaction.atomic():
            Feed.objects.filter(pk=row.pk).update(failures=0, trouble="", next_try_at=None)
            event = FeedRecovered(feed=row.ref, failures=row.failures, cursor=row.cursor)
            record(event, by="system", facts=NOBODY)
        row.failures = 0


def utc_now() -> datetime:
    """Return the present moment; the log's rooms have a clock of their own."""
    return datetime.now(UTC)
