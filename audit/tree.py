"""The stored tree: head, tiles, and the one transaction that moves events from the inbox into it."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from django.db import connection, transaction

from audit import merkle, rollups, store, tiles
from audit.errors import LogForked, Malformed, NoLog
from audit.models import Entry, Head, InboxRow, SetAside, Tile
from audit.payload import parse, with_recorded_at
from audit.write import NOBODY, Event, build, new_event_id, stamp

log = logging.getLogger(__name__)

BATCH_MAX = 1_000


@dataclass(frozen=True, kw_only=True)
class RowSetAside(Event, type="audit.row.set_aside", title="Something in the inbox was no event", tone="no"):
    """What stood in the inbox could not be an entry; somebody wrote there past ``record()``. Kept in audit_setaside."""

    payload_hash: str
    size_bytes: int


def head_locked() -> Head | None:
    """Return the head, locked until the transaction ends: the real guard against a second sequencer."""
    return Head.objects.select_for_update().filter(pk=1).first()


def moment() -> datetime:
    """Return when the newest entry was recorded; long ago for an empty log. The next one is never earlier."""
    found = Head.objects.filter(pk=1).values_list("recorded_at", flat=True).first()
    return found or datetime.min.replace(tzinfo=UTC)


def drain(*, limit: int = BATCH_MAX) -> int:
    """Move up to ``limit`` events from the inbox into the tree, all or nothing; return the new global size, or 0.

    A crash before the commit leaves everything in the inbox; after it, everything in the tree.
    """
    if not InboxRow.objects.exists():  # spares SQLite a write lock ten times a second
        return 0
    with transaction.atomic():
        head = head_locked()
        if head is None:
            raise NoLog("no log to drain into")
        payloads = _claim(limit)
        if payloads:
            append(head, payloads, now=datetime.now(UTC))
    return head.base + head.size if payloads else 0


def append(head: Head, payloads: Sequence[bytes], *, now: datetime) -> None:
    """Append events to the tree of a locked head, in the caller's transaction. What is no event is set aside."""
    # Never backwards, so that a moment can be turned into an index.
    recorded_at = max(now.replace(microsecond=now.microsecond // 1000 * 1000), head.recorded_at)
    start = head.base + head.size
    moment = stamp(recorded_at)
    insert(head, [_row(start + at, raw, moment) for at, raw in enumerate(payloads)])


def insert(head: Head, rows: Sequence[store.Row]) -> None:
    """Insert the next entries of a locked head, in the caller's transaction. rows: in order, moments never falling."""
    _refuse_twice(head.base + head.size, head.recorded_at)
    leaves = [merkle.leaf_hash(row[-1]) for row in rows]
    store.insert_entries(rows)
    rollups.add(map(store.counted_as, rows))
    _store_tiles(head, leaves)
    frontier = _split(bytes(head.frontier))
    for leaf in leaves:
        merkle.grow(frontier, head.size, leaf)
        head.size += 1
    head.frontier, head.root = b"".join(frontier), merkle.root_of_frontier(frontier)
    head.recorded_at = store.recorded_at(rows[-1])
    head.save()


def _refuse_twice(start: int, since: datetime) -> None:
    """Raise LogForked if an entry stands where the next one belongs: a key by month can't refuse an index twice."""
    if Entry.objects.filter(index__gte=start, recorded_at__gte=since).exists():
        raise LogForked("inconsistent", f"entry {start} stands in the table but not in the tree")


def tile_bytes(generation: int) -> Callable[[int, int], bytes]:
    """Return a getter of stored tiles of a generation, each read once."""
    return cache(tile_getter(generation))


def tile_getter(generation: int) -> Callable[[int, int], bytes]:
    """Return a getter of stored tiles of a generation that keeps none. It raises LookupError for missing ones."""

    def get(level: int, index: int) -> bytes:
        row = Tile.objects.filter(generation=generation, level=level, index=index).values_list("data").first()
        if row is None:
            raise LookupError(f"tile {level}/{tiles.number_path(index)} is missing")
        return bytes(row[0])

    return get


def reader(generation: int) -> merkle.Reader:
    """Return a reader of subtree hashes of a generation's stored tiles. It raises LookupError for missing ones."""
    return tiles.reader_of(tile_bytes(generation))


def _claim(limit: int) -> list[bytes]:
    """Delete the oldest rows of the inbox and return their payloads, oldest first.

    The inbox's ids say who came first, never how far one has read: rows may commit out of their order.
    """
    skip = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM audit_inboxrow WHERE id IN "  # noqa: S608
            f"(SELECT id FROM audit_inboxrow ORDER BY id LIMIT %s {skip}) RETURNING id, payload",
            [limit],
        )
        return [bytes(payload) for _, payload in sorted(cursor.fetchall())]


def _row(index: int, payload: bytes, recorded_at: str) -> store.Row:
    try:
        event = parse(payload)
    except Malformed as error:
        payload = _set_aside(payload, str(error), datetime.fromisoformat(recorded_at))
        event = parse(payload)
    return store.row(index, event, canon=with_recorded_at(payload, recorded_at), recorded_at=recorded_at)


def _set_aside(payload: bytes, reason: str, now: datetime) -> bytes:
    """Keep what can't be an entry beside the log; return the event that says so in its place."""
    log.critical("a row of the audit inbox is no event (%s): set aside", reason)
    SetAside.objects.create(payload=payload, set_aside_at=now)
    digest = "sha-256:" + base64.urlsafe_b64encode(hashlib.sha256(payload).digest()).rstrip(b"=").decode()
    event = RowSetAside(payload_hash=digest, size_bytes=len(payload))
    return build(event, event_id=new_event_id(), by="system", facts=NOBODY, occurred_at=stamp(now))


def _store_tiles(head: Head, leaves: Sequence[bytes]) -> None:
    edge = _edge(head)
    changed = tiles.grow(edge, head.size, leaves)
    with connection.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO audit_tile (generation, level, "index", data) VALUES (%s, %s, %s, %s) '
            'ON CONFLICT (generation, level, "index") DO UPDATE SET data = excluded.data',
            [(head.generation, level, index, data) for (level, index), data in sorted(changed.items())],
        )


def _edge(head: Head) -> dict[tiles.Place, bytes]:
    get = tile_bytes(head.generation)
    try:
        edge = {place: get(*place) for place in tiles.edge_places(head.size)}
    except LookupError as error:
        raise LogForked("inconsistent", str(error)) from error
    for (level, index), held in edge.items():
        if len(held) != tiles.width_of(level, index, head.size) * merkle.HASH_BYTES:
            raise LogForked("inconsistent", f"tile {level}/{tiles.number_path(index)} and the head differ in size")
    return edge


def _split(frontier: bytes) -> list[bytes]:
    return [frontier[at : at + merkle.HASH_BYTES] for at in range(0, len(frontier), merkle.HASH_BYTES)]
