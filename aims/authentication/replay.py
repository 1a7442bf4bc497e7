"""Replay memory: every proof counts once, for all processes, whichever endpoint it was sent to.

The insert into one table is the check. Most callers wait for its commit to reach the disk; one whose proof grants
nothing need not (``UNHURRIED``), so a crash of the database may forget the last second of those. Then nothing
from before the crash counts any more: ``authentication_memory`` says since when everything is remembered. On PostgreSQL
it is an unlogged table, which a crash and a failover empty and an orderly stop does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from aims.authentication.errors import DpopForgotten, DpopReplayed, ProofForgotten, ProofReplayed

OF_KEY = "dpop"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What must be remembered so that an assertion or a DPoP proof counts once. issued_at: its own word.

    client_ref: who made it; ``OF_KEY`` for a DPoP proof, whose hash holds the key.
    """

    client_ref: str
    jti_hash: str
    issued_at: datetime
    expires_at: datetime
    agent: str | None


# For a statement on PostgreSQL that is its own transaction: its commit is not waited for. Join it, or it is not run.
UNHURRIED = "SELECT set_config('synchronous_commit', 'off', true)"


def covered(moment: str) -> str:
    """Return the condition that a proof made at this moment, an expression, is from the time that the memory covers."""
    return f"EXISTS (SELECT 1 FROM authentication_memory WHERE began_at <= {moment})"  # noqa: S608 ours


COVERED = covered("%s")
# The client's clock is not ahead of ours, so the proof was really made before now: needed by whoever is unhurried,
# because only then a memory that begins anew is younger than all that it may have forgotten. Parameter: issued_at.
MADE_BY_NOW = "%s <= now()"
# The proof was used. Parameters: client_ref, jti_hash.
SPENT = "EXISTS (SELECT 1 FROM authentication_spentproof WHERE client_ref = %s AND jti_hash = %s)"


def spend(*proofs: Proof) -> None:
    """Remember the proofs inside the caller's transaction. Raises ProofReplayed, DpopReplayed or their Forgotten.

    Of two equal ones at once, one waits for the other and then inserts nothing. The order is the same everywhere:
    the client's own first, then that of its key.
    """
    for proof in proofs:
        if not remember(proof):
            raise not_fresh(proof)


def remember(proof: Proof) -> bool:
    """Remember a proof inside the caller's transaction; return whether it was fresh."""
    assert connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO authentication_spentproof (client_ref, jti_hash, expires_at)"
            f" SELECT %s, %s, %s WHERE {COVERED} ON CONFLICT DO NOTHING",
            [proof.client_ref, proof.jti_hash, proof.expires_at, proof.issued_at],
        )
        return bool(cursor.rowcount == 1)


def inserted(count: int, *, source: str) -> str:
    """Return the part of a statement on PostgreSQL that remembers so many proofs if its source has a row.

    It gives the ``client_ref`` of each that was fresh. Parameters: ``values`` of the proofs.
    """
    rows = ", ".join(["(%s::varchar, %s::varchar, %s::timestamptz)"] * count)
    return (
        "INSERT INTO authentication_spentproof (client_ref, jti_hash, expires_at)"  # noqa: S608 made of constants
        f" SELECT proof.* FROM {source}, (VALUES {rows}) AS proof (client_ref, jti_hash, expires_at)"
        f" WHERE {COVERED} ON CONFLICT DO NOTHING RETURNING client_ref"
    )


# The part of a statement on PostgreSQL that remembers the proofs of many requests: of ``proof``, which has the columns
# of the table, those marked ``is_first`` (of equal ones only one may be). In one order everywhere, so that two
# processes that were sent the same proofs never wait for each other. It gives those that were fresh.
INSERTED_TOGETHER = (
    "INSERT INTO authentication_spentproof (client_ref, jti_hash, expires_at)"
    " SELECT client_ref, jti_hash, expires_at FROM proof WHERE is_first ORDER BY client_ref, jti_hash"
    " ON CONFLICT DO NOTHING RETURNING client_ref, jti_hash"
)


def all_fresh(count: int) -> str:
    """Return the condition that ``inserted``, named ``spent``, remembered all of so many proofs."""
    return f"(SELECT count(*) FROM spent) = {count}"  # noqa: S608 a number


def values(proofs: Sequence[Proof]) -> tuple[object, ...]:
    """Return the parameters of ``inserted``."""
    return *(value for proof in proofs for value in _row(proof)), min(proof.issued_at for proof in proofs)


def stale(proofs: Sequence[Proof], *, has_spent_own: bool) -> ProofReplayed | DpopReplayed:
    """Return why not all of the proofs were fresh. has_spent_own: the client's own, which is the first, was."""
    return not_fresh(proofs[1] if has_spent_own else proofs[0])


def not_fresh(proof: Proof) -> ProofReplayed | DpopReplayed:
    """Return why a proof was not accepted: it was used, or nobody can say whether it was."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COVERED}", [proof.issued_at])
        (is_covered,) = cursor.fetchone()
    if proof.client_ref == OF_KEY:
        return (DpopReplayed if is_covered else DpopForgotten)(agent=proof.agent)
    return (ProofReplayed if is_covered else ProofForgotten)(agent=proof.agent)


def _row(proof: Proof) -> tuple[object, ...]:
    return proof.client_ref, proof.jti_hash, proof.expires_at


def begin() -> None:
    """Begin to remember, where a crash has emptied the memory. Call it outside the transaction that found out."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO authentication_memory (began_at) VALUES (CURRENT_TIMESTAMP) ON CONFLICT DO NOTHING")
