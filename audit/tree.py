"""The stored tree: head, tiles, and the one transaction that moves events from the inbox into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from audit import merkle, tiles
from audit.canonical import decode, encode
from audit.errors import LogForked, NoLog
from audit.models import Entry, Head, InboxRow, Tile
from audit.write import stamp

BATCH_MAX = 1_000
_COLUMNS = ("agent", "subject", "resource", "action", "decision", "txn", "posture", "remediation")


def head_locked() -> Head | None:
    """Return the head, locked until the transaction ends: the real guard against a second sequencer."""
    return Head.objects.select_for_update().filter(pk=1).first()


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
    """Append events to the tree of a locked head, in the caller's transaction."""
    # Never backwards, so that a moment can be turned into an index.
    recorded_at = max(now.replace(microsecond=now.microsecond // 1000 * 1000), head.recorded_at)
    entries = [_entry(head.base + head.size + at, raw, recorded_at) for at, raw in enumerate(payloads)]
    leaves = [merkle.leaf_hash(bytes(entry.canon)) for entry in entries]
    Entry.objects.bulk_create(entries)
    _store_tiles(head, leaves)
    frontier = _split(bytes(head.frontier))
    for leaf in leaves:
        merkle.grow(frontier, head.size, leaf)
        head.size += 1
    head.frontier, head.root = b"".join(frontier), merkle.root_of_frontier(frontier)
    head.recorded_at = recorded_at
    head.save()


def tile_bytes(generation: int) -> Callable[[int, int], bytes]:
    """Return a getter of stored tiles of a generation, each read once."""
    seen: dict[tuple[int, int], bytes] = {}

    def get(level: int, index: int) -> bytes:
        if (level, index) not in seen:
            row = Tile.objects.filter(generation=generation, level=level, index=index).values_list("data").first()
            if row is None:
                raise LookupError(f"tile {level}/{tiles.number_path(index)} is missing")
            seen[level, index] = bytes(row[0])
        return seen[level, index]

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
            "DELETE FROM audit_inboxrow WHERE id IN "
            f"(SELECT id FROM audit_inboxrow ORDER BY id LIMIT %s {skip}) RETURNING id, payload",
            [limit],
        )
        return [bytes(payload) for _, payload in sorted(cursor.fetchall())]


def _entry(index: int, payload: bytes, recorded_at: datetime) -> Entry:
    event: dict[str, Any] = decode(payload)
    event["recorded_at"] = stamp(recorded_at)
    return Entry(
        index=index,
        event_id=event["id"],
        type=event["type"],
        by=event["by"],
        occurred_at=datetime.fromisoformat(event["occurred_at"]),
        recorded_at=recorded_at,
        canon=encode(event),
        **{name: event[name] for name in _COLUMNS},
    )


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
