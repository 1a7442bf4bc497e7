"""An export from the command line: asked, made at once in this process, and put where the operator wants it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from audit.access import EVERYTHING
from audit.errors import NoSuchStory as NoSuchStory
from audit.exports import services, store
from audit.exports.errors import ExportError as ExportError
from audit.exports.models import Export
from audit.exports.packs import asking as packs
from audit.exports.packs.subject import KINDS as KINDS
from audit.exports.renderings import FORMATS
from audit.exports.services import Wanted
from audit.search.errors import QueryError as QueryError
from audit.timeline.extras import mounted

CHOICES = ("jsonl", "pdf", *FORMATS)


def export(out: Path, *, query: str, first: int, end: int | None, formats: Sequence[str], by: str) -> Export:
    """Make an export and copy its bundle to ``out``. Raises: ExportError, QueryError, OSError."""
    now = datetime.now(UTC)
    row = services.ask(
        kind="filter" if query else "range",
        title="Entries that fit a search" if query else "Entries of a range",
        sets=[Wanted(name="entries", query=query, first=first, end=end)],
        formats=["jsonl", *(name for name in formats if name != "jsonl")],
        scope=EVERYTHING,
        by=by,
        now=now,
    )
    return _made(row, out, by=by, now=now)


def pack(out: Path, *, kind: str, ref: str, with_surroundings: bool, formats: Sequence[str], by: str) -> Export:
    """Make an evidence pack and copy it to ``out``. Raises: ExportError, NoSuchStory, OSError."""
    now, extras = datetime.now(UTC), mounted().extras
    row = packs.ask(
        kind,
        ref,
        formats=formats,
        with_surroundings=with_surroundings,
        scope=EVERYTHING,
        extras=extras,
        by=by,
        reader=by,
        now=now,
    )
    return _made(row, out, by=by, now=now)


def _made(row: Export, out: Path, *, by: str, now: datetime) -> Export:
    services.run_now(row, now=now)
    row.refresh_from_db()
    if row.state != "ready":
        raise ExportError(f"the export is {row.state}: {row.failure or 'another worker has it'}")
    services.note_download(row, by=by)
    shutil.copyfile(store.storage().path(store.name(row.ref)), out)
    return row
