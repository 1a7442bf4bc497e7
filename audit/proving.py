"""Which checkpoint a proof is given under, and with whose cosignatures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audit import trust
from audit.models import Checkpoint, Cosignature, Log
from audit.policy import Policy

SIZES_LOOKED_AT = 8


@dataclass(frozen=True)
class Signed:
    """A checkpoint as it is given out: its note carries the cosignatures."""

    size: int
    note: str


def cosigned(row: Checkpoint) -> str:
    """Return a checkpoint's note, followed by the newest cosignature of each witness on it."""
    return row.note + _lines(Cosignature.objects.filter(generation=row.generation, size=row.size))


def checkpoint_over(log: Log, index: int) -> Signed | None:
    """Return the newest checkpoint over a leaf that has a quorum, else that any witness cosigned, else the newest.

    index: within the generation. A checkpoint is a second old when witnesses answer, so newest and cosigned differ.
    """
    policy = trust.configured()
    best: Signed | None = None
    for row in _cosigned_rows(log, index) if policy.witnesses else ():
        signed = Signed(row.size, cosigned(row))
        if _has_quorum(policy, signed.note):
            return signed
        best = best or signed
    newest = Checkpoint.objects.filter(generation=log.generation, size__gt=index).order_by("-size").first()
    return best or (Signed(newest.size, newest.note) if newest else None)


def _has_quorum(policy: Policy, note: str) -> bool:
    try:
        return bool(policy.require(note))
    except ValueError:
        return False


def _cosigned_rows(log: Log, index: int) -> Iterable[Checkpoint]:
    sizes = Cosignature.objects.filter(generation=log.generation, size__gt=index).values_list("size", flat=True)
    newest = list(sizes.distinct().order_by("-size")[:SIZES_LOOKED_AT])
    return Checkpoint.objects.filter(generation=log.generation, size__in=newest).order_by("-size")


def _lines(rows: Iterable[Cosignature]) -> str:
    newest: dict[tuple[str, str], Cosignature] = {}
    for row in rows:
        key = row.witness, row.key_id
        if key not in newest or newest[key].cosigned_at < row.cosigned_at:
            newest[key] = row
    return "".join(row.line for _, row in sorted(newest.items()))
