"""What a restored database lacks of what was published, as far as the next generation acknowledges it.

The next generation's first entry embeds the last checkpoint that was published and says how many entries were there. That is
signed with everything that follows it, so nobody can acknowledge more afterwards; and it needs our own signature over more
entries than there are, so nobody acknowledges a loss that was none.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Mapping
from typing import Any

from audit import notes, tiles
from audit.checkpoints import GenerationBegun
from audit.keeping import state
from audit.merkle import HASH_BYTES
from audit.models import Entry, Log, Tile
from audit.verdict import Lost


def every() -> list[Lost]:
    """Return what is lost of each generation that ended, the oldest first."""
    logs = list(Log.objects.order_by("generation"))
    return [lost for log, following in itertools.pairwise(logs) if (lost := of(log, following))]


def of(log: Log, following: Log | None) -> Lost | None:
    """Return which entries of a generation are lost and acknowledged, or None."""
    if following is None:
        return None
    if following.base < state.minimum():  # the entry that said so has gone too, with all that it spoke of
        first = log.base + _leaves(log)
        return Lost(log.generation, first, following.base, None) if first < following.base else None
    told = _told(following)
    stored, published = told.get("stored"), told.get("last_size")
    if not (isinstance(stored, int) and isinstance(published, int) and 0 <= stored < published):
        return None
    if following.base != log.base + published or not _is_signed(log, told.get("last_checkpoint"), published):
        return None
    return Lost(log.generation, log.base + stored, following.base, following.base)


def _told(following: Log) -> Mapping[str, Any]:
    rows = Entry.objects.filter(index=following.base, type=GenerationBegun.type)
    canon = rows.values_list("canon", flat=True).first()
    try:
        data = json.loads(bytes(canon))["data"] if canon is not None else {}
    except (ValueError, KeyError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_signed(log: Log, embedded: object, size: int) -> bool:
    """Return whether the embedded note is a checkpoint of this log over so many entries."""
    try:
        note = base64.b64decode(str(embedded), validate=True).decode()
        return notes.open_checkpoint(note, [notes.parse_vkey(log.vkey)], origin=log.origin).size == size
    except (binascii.Error, UnicodeDecodeError, notes.NoteRefused):
        return False


def _leaves(log: Log) -> int:
    """Return how many leaves the stored tiles of a generation hold."""
    last = Tile.objects.filter(generation=log.generation, level=0).order_by("-index").first()
    return last.index * tiles.WIDTH + len(last.data) // HASH_BYTES if last else 0
