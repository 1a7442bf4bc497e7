"""Copies of every checkpoint outside the database: what a restored or altered database is compared with.

In a folder: one directory per origin, one append-only file per month, notes one after the other. In an object store
(``audit/bucket.py``): one object per checkpoint. Losing them loses the comparison, nothing else.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from django.conf import settings

from audit import bucket
from audit.notes import Checkpoint, NoteRefused, VerifierKey, open_checkpoint

TAIL_BYTES = 64 * 1024


def is_elsewhere() -> bool:
    """Return whether the copies are told to lie in a place of their own: ``AIMS_CHECKPOINT_DIR``."""
    return bool(settings.CHECKPOINT_DIR)


def directory() -> Path:
    """Return where the copies lie: ``AIMS_CHECKPOINT_DIR``, or ``checkpoints`` beside the database."""
    return Path(settings.CHECKPOINT_DIR or settings.VAR_DIR / "checkpoints")


def keep(note: str, *, origin: str, at: datetime) -> None:
    """Append a note to the copies and bring it to the disk. A crash in here leaves a torn end that reading skips.

    Raises: OSError where it can't be kept, which stops the signing.
    """
    if store := bucket.configured():
        store.keep(note, origin=origin)
        return
    folder = directory() / quote(origin, safe="")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{at:%Y-%m}.checkpoints"
    is_new = not path.exists()
    with path.open("ab") as file:
        file.write(b"\n" + note.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync(folder)


def latest(*, key: VerifierKey) -> tuple[Checkpoint, str] | None:
    """Return the largest checkpoint that was kept for an origin, with its note; None if none was.

    Raises: NoteRefused when copies are there but none of them can be read: better to stop than to forget.
    """
    if store := bucket.configured():
        return store.latest(key=key)
    folder = directory() / quote(key.name, safe="")
    files = sorted(folder.glob("*.checkpoints"), reverse=True) if folder.is_dir() else []
    for path in files:
        if found := _largest(path, key):
            return found
    if any(path.stat().st_size for path in files):
        raise NoteRefused(f"no copy of a checkpoint in {folder} can be read")
    return None


def generations(origin: str) -> int:
    """Return how many generations of an origin have copies; the second one is ``<origin>/g2``."""
    if store := bucket.configured():
        return store.generations(origin)
    count = 1
    while (directory() / quote(f"{origin}/g{count + 1}", safe="")).is_dir():
        count += 1
    return count


def _largest(path: Path, key: VerifierKey) -> tuple[Checkpoint, str] | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    found: tuple[Checkpoint, str] | None = None
    for piece in text.split(f"\n{key.name}\n")[1:]:
        parts = piece.split("\n\n")
        if len(parts) < 2:
            continue
        note = f"{key.name}\n{parts[0]}\n\n{parts[1].rstrip()}\n"
        try:
            head = open_checkpoint(note, [key], origin=key.name)
        except NoteRefused:
            continue
        if found is None or head.size >= found[0].size:
            found = head, note
    return found


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
