"""An entry as pages, followers and exports see it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
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


@dataclass(frozen=True, slots=True)
class Glimpse:
    """An entry as a follower sees it that looks at very many: columns, and the bytes that hold the rest."""

    index: int
    type: str
    by: str
    occurred_at: datetime
    recorded_at: datetime
    agent: str | None
    subject: str | None
    resource: str | None
    action: str | None
    decision: str | None
    txn: str | None
    canon: bytes | memoryview


class Data(Mapping[str, Any]):
    """The own fields of an entry, read from its bytes when somebody first asks: most are never asked for."""

    def __init__(self, canon: bytes | memoryview) -> None:
        self._canon = canon

    @cached_property
    def _read(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(bytes(self._canon))["data"]
        return said

    def __getitem__(self, name: str) -> Any:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


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
