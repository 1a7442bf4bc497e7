"""The integrity certificate: what can be said about the log over a period, with the proof that it only grew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audit import merkle, notes, proving, strength, tree
from audit.models import Check, Checkpoint, Entry, Log, Timestamp
from audit.strength import Strength

EXCEPTIONS_MAX = 50
EXCEPTIONS = (
    "audit.verification.failed", "audit.witness.refused", "audit.timestamp.refused", "audit.generation.begun",
    "audit.row.set_aside",
)  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """One origin within the period: its first and last checkpoint, and the proof from the one to the other.

    proof: base64, RFC 9162 §2.1.4; None where the stored tree gives none, which is an exception.
    """

    log: Log
    first: Checkpoint
    last: Checkpoint
    note: str
    proof: tuple[str, ...] | None


@dataclass(frozen=True)
class Certificate:
    """What is filed. exceptions: entries of the period that tell of trouble, at most EXCEPTIONS_MAX."""

    since_at: datetime
    until_at: datetime
    made_at: datetime
    stretches: tuple[Stretch, ...]
    stamps: tuple[Timestamp, ...]
    checks: tuple[Check, ...]
    exceptions: tuple[Entry, ...]
    strength: Strength


def certify(since_at: datetime, until_at: datetime, *, now: datetime) -> Certificate:
    """Return the certificate of a period."""
    stamps = Timestamp.objects.filter(stamped_at__gte=since_at, stamped_at__lt=until_at).order_by("stamped_at")
    found = Entry.objects.filter(type__in=EXCEPTIONS, recorded_at__gte=since_at, recorded_at__lt=until_at)
    return Certificate(
        since_at,
        until_at,
        now,
        tuple(filter(None, (_stretch(log, since_at, until_at) for log in Log.objects.order_by("generation")))),
        tuple(stamps),
        tuple(Check.objects.order_by("kind")),
        tuple(found.order_by("index")[:EXCEPTIONS_MAX]),
        strength.assess(now),
    )


def _stretch(log: Log, since_at: datetime, until_at: datetime) -> Stretch | None:
    within = Checkpoint.objects.filter(generation=log.generation, signed_at__gte=since_at, signed_at__lt=until_at)
    first, last = within.order_by("size").first(), within.order_by("-size").first()
    if first is None or last is None:
        return None
    return Stretch(log, first, last, proving.cosigned(last), _proof(log, first, last))


def _proof(log: Log, first: Checkpoint, last: Checkpoint) -> tuple[str, ...] | None:
    try:
        proof = merkle.consistency_proof(first.size, last.size, tree.reader(log.generation))
        merkle.verify_consistency(
            first=first.size, second=last.size, first_root=bytes(first.root), second_root=bytes(last.root), proof=proof
        )
    except (LookupError, merkle.ProofRefused):
        return None
    return tuple(map(notes.base64_of, proof))
