"""An entry as pages, followers and exports see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.canonical import decode
from audit.models import Entry
from audit.write import vocabulary


@dataclass(frozen=True)
class EntryView:
    """An entry as pages and followers see it. data: the event's own fields. canon: the exact bytes in the tree."""

    index: int
    event_id: str
    type: str
    title: str
    tone: str
    by: str
    occurred_at: datetime
    recorded_at: datetime
    agent: str | None
    subject: str | None
    resource: str | None
    action: str | None
    decision: str | None
    txn: str | None
    posture: str | None
    remediation: str | None
    data: dict[str, Any]
    canon: bytes


def views_of(entries: Iterable[Entry]) -> list[EntryView]:
    """Return rows of the table as others see them."""
    known = vocabulary()
    return [_view(row, known) for row in entries]


def _view(row: Entry, known: dict[str, Any]) -> EntryView:
    kind = known.get(row.type)
    canon = bytes(row.canon)
    return EntryView(
        row.index,
        row.event_id,
        row.type,
        str(kind.title) if kind else row.type,
        kind.tone if kind else "plain",
        row.by,
        row.occurred_at,
        row.recorded_at,
        row.agent,
        row.subject,
        row.resource,
        row.action,
        row.decision,
        row.txn,
        row.posture,
        row.remediation,
        decode(canon)["data"],
        canon,
    )
