"""What others say about our checkpoints, checked against the stored ones: the cosignatures of witnesses."""

from __future__ import annotations

from audit import notes, trust
from audit.models import Checkpoint, Cosignature, Log
from audit.verdict import Bad


def check(log: Log) -> None:
    """Check every stored cosignature whose witness the policy knows. Raises Bad, naming the one that is wrong."""
    keys = {(each.key.name, each.key.id.hex()): each.key for each in trust.configured().witnesses}
    for row in Cosignature.objects.filter(generation=log.generation).order_by("size", "pk").iterator():
        key = keys.get((row.witness, row.key_id))
        if key is not None:
            _cosignature(log, row, key)


def checkpoint(log: Log, size: int) -> Checkpoint | None:
    """Return the stored checkpoint of a size."""
    return Checkpoint.objects.filter(generation=log.generation, size=size).first()


def _cosignature(log: Log, row: Cosignature, key: notes.VerifierKey) -> None:
    where = f"cosignature/g{log.generation}/{row.size}/{row.key_id}"
    signed = checkpoint(log, row.size)
    if signed is None:
        raise Bad(f"{row.witness} cosigned checkpoint {row.size}, which is gone", where=where)
    try:
        times = notes.cosignatures(signed.note + row.line, [key])
    except notes.NoteRefused as error:
        raise Bad(f"the cosignature of {row.witness} on checkpoint {row.size}: {error}", where=where) from error
    if times.get(key) != row.cosigned_at:
        raise Bad(f"the cosignature of {row.witness} on checkpoint {row.size} has another time or key", where=where)
