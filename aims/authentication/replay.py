"""Replay memory: every proof counts once, for all processes, whichever endpoint it was sent to.

The insert into one table is the check. Most callers wait for its commit to reach the disk; one whose proof grants
nothing need not (``UNHURRIED``), so a crash of the database may forget the last second of those. Then nothing
from before the crash counts any more: ``authentication_memory`` says since when everything is remembered. On PostgreSQL
it is an unlogged table, which a crash and a failover empty and an orderly stop does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from aims.authentication.errors import ProofForgotten, ProofReplayed


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What must be remembered so that an assertion counts once. issued_at: its own word."""

    client_ref: str
    jti_hash: str
    issued_at: datetime
    expires_at: datetime
    agent: str | None


# For a statement on PostgreSQL that is its own transaction: its commit is not waited for. Join it, or it is not run.
UNHURRIED = "SELECT set_config('synchronous_commit', 'off', true)"
# The proof is from the time that the memory covers. Parameter: issued_at.
COVERED = "EXISTS (SELECT 1 FROM authentication_memory WHERE began_at <= %s)"
# The client's clock is not ahead of ours, so the proof was really made before now: needed by whoever is unhurried,
# because only then a memory that begins anew is younger than all that it may have forgotten. Parameter: issued_at.
MADE_BY_NOW = "%s <= now()"
# The proof was used. Parameters: client_ref, jti_hash.
SPENT = "EXISTS (SELECT 1 FROM authentication_spentproof WHERE client_ref = %s AND jti_hash = %s)"


def spend(proof: Proof) -> None:
    """Remember the proof inside the caller's transaction. Raises ProofReplayed, ProofForgotten.

    Of two equal assertions at once, one waits for the other and then inserts nothing.
    """
    assert connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO authentication_spentproof (client_ref, jti_hash, expires_at)"
            f" SELECT %s, %s, %s WHERE {COVERED} ON CONFLICT DO NOTHING",
            [proof.client_ref, proof.jti_hash, proof.expires_at, proof.issued_at],
        )
        if cursor.rowcount != 1:
            raise not_fresh(proof)


def not_fresh(proof: Proof) -> ProofReplayed:
    """Return why a proof was not accepted: it was used, or nobody can say whether it was."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COVERED}", [proof.issued_at])
        (is_covered,) = cursor.fetchone()
    return (ProofReplayed if is_covered else ProofForgotten)(agent=proof.agent)


def begin() -> None:
    """Begin to remember, where a crash has emptied the memory. Call it outside the transaction that found out."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO authentication_memory (began_at) VALUES (CURRENT_TIMESTAMP) ON CONFLICT DO NOTHING")
