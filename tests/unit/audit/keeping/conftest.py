from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest
from django.db import transaction

from audit import checkpoints, partitions, tree
from audit.sequencer import Sequencer
from audit.write import NOBODY, FailuresCounted, inbox_payload
from tests.support.log import as_owner, happen, log_key, sequencer, written_once

__all__ = ["as_owner", "happen", "log_key", "sequencer", "written_once"]

Past = Callable[..., None]
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)


class _Long(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return BEGAN


@pytest.fixture
def past(sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch) -> Past:
    """Number entries at a moment, as if the clock had said so, and sign them. The log begins in January 2025."""
    partitions.ensure(BEGAN, ahead=0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "datetime", _Long)
        sequencer.run_once()

    def past(moment: datetime, count: int = 1, *, is_signed: bool = True, **facts: Any) -> None:
        event = FailuresCounted(source="src_1", code="invalid_client", count=1, minute="2026-11-23T21:00:00.000Z")
        payloads = [inbox_payload(event, by="system", facts=replace(NOBODY, **facts)) for _ in range(count)]
        partitions.ensure(moment, ahead=0)
        with transaction.atomic():
            head = tree.head_locked()
            assert head is not None
            tree.append(head, payloads, now=moment)
        if is_signed:
            sequencer.run_once()

    return past
