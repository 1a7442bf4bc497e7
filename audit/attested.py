"""What others say about our checkpoints, checked against the stored ones: cosignatures of witnesses, time stamps."""

from __future__ import annotations

from audit import notes, timestamps, trust
from audit.models import Checkpoint, Cosignature, Log, Timestamp
from audit.verdict import Bad


def check(log: Log) -> None:
    """Check every stored cosignature whose witness the policy knows, and every time stamp, by the roots that are trusted.

    Raises Bad, naming the one that is wrong.
    """
    keys = {(each.key.name, each.key.id.hex()): each.key for each in trust.configured().witnesses}
    for row in Cosignature.objects.filter(generation=log.generation).order_by("size", "pk").iterator():
        key = keys.get((row.witness, row.key_id))
        if key is not None:
            _cosignature(log, row, key)
    if roots := timestamps.roots():
        for stamp in Timestamp.objects.filter(generation=log.generation).order_by("size").iterator():
            _timestamp(log, stamp, roots)


def checkpoint(log: Log, size: int) -> Checkpoint | None:
    """Return the stored checkpoint of a size."""
    return Checkpoint.objects.filter(generation=log.generation, size=size).first()


def _cosignature(log: Log, row: Cosignature, key: notes.VerifierKey) -> None:
    where = f"cosignature/g{log.generation}/{row.size}/{row.key_id}"
    signed = checkpoint(log, row.size)
    if signed is None:
        if not Cosignature.objects.filter(pk=row.pk).exists():  # thinned since the check began, with its checkpoint
            return
        raise Bad(f"{row.witness} cosigned checkpoint {row.size}, which is gone", where=where)
    try:
        times = notes.cosignatures(signed.note + row.line, [key])
    except notes.NoteRefused as error:
        raise Bad(f"the cosignature of {row.witness} on checkpoint {row.size}: {error}", where=where) from error
    if times.get(key) != row.cosigned_at:
        raise Bad(f"the cosignature of {row.witness} on checkpoint {row.size} has another time or key", where=where)


def _timestamp(log: Log, row: Timestamp, roots: timestamps.Roots) -> None:
    where = f"timestamp/g{log.generation}/{row.size}"
    signed = checkpoint(log, row.size)
    if signed is None:
        raise Bad(f"the time stamp on checkpoint {row.size}: the checkpoint is gone", where=where)
    try:
        stamped_at = timestamps.verify(bytes(row.token), notes.text_of(signed.note), roots=roots, nonce=None)
    except timestamps.NotATimestamp as error:
        raise Bad(f"the time stamp on checkpoint {row.size}: {error}", where=where) from error
    if stamped_at != row.stamped_at:
        raise Bad(f"the time stamp on checkpoint {row.size} is stored beside another time", where=where)
