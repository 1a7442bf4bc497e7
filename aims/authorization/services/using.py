"""Proofs of those who ask about a token, each with the entry of that use: written together, many at once.

Nothing is granted, so all that counts is that a proof counts once, and that no use is recorded of a token after it was ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authentication import replay
from aims.authentication.replay import Proof
from aims.authorization.models import AccessToken
from aims.identifier.models import AgentState
from aims.kit.prepared import is_possible, rows
from audit.write import INBOX_INSERT, announce, enter

# proof, spent, fresh: as in ``issuing``; of equal proofs the first counts.
# live: a token that somebody is ending just now (SKIP LOCKED) counts as ended; who asked then looks again by itself. It
#   is locked behind the proofs, as everywhere, and never waited for.
_STATEMENT = f"""
WITH batch AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS row (n int, client varchar, jti varchar, made_at timestamptz,
        until timestamptz, token bigint, asked_at timestamptz, payload text)
), proof AS MATERIALIZED (
    SELECT n, client AS client_ref, jti AS jti_hash, until AS expires_at,
        n = min(n) OVER (PARTITION BY client, jti) AS is_first
    FROM batch WHERE {replay.covered("made_at")}
), spent AS (
    {replay.INSERTED_TOGETHER}
), fresh AS MATERIALIZED (
    SELECT batch.* FROM batch JOIN proof USING (n) JOIN spent USING (client_ref, jti_hash) WHERE is_first
), live AS MATERIALIZED (
    SELECT token.id FROM authorization_accesstoken token
    JOIN (SELECT token AS id, max(asked_at) AS now FROM fresh GROUP BY token) AS asked USING (id)
    JOIN identifier_agent agent ON agent.id = token.agent_id
    WHERE token.revoked_at IS NULL AND token.expires > asked.now AND agent.state = '{AgentState.ACTIVE}'
    ORDER BY token.id FOR SHARE OF token SKIP LOCKED
), entered AS (
    {INBOX_INSERT} SELECT convert_to(payload, 'UTF8') FROM fresh WHERE token IN (SELECT id FROM live) ORDER BY n
)
SELECT n, coalesce(token IN (SELECT id FROM live), false) FROM fresh
"""  # noqa: S608 made of constants


@dataclass(frozen=True, kw_only=True)
class Use:
    """A proof to be spent. token: the primary key of the row that it asks about, None where that is nothing.

    payload: of ``audit.write.inbox_payload``: that it was used.
    """

    proof: Proof
    now: datetime
    token: int | None = None
    payload: bytes = b""


@dataclass(frozen=True)
class Spent:
    """What became of it. is_fresh: the proof was, and is spent now. is_recorded: its token counted, and the use is in the log."""

    is_fresh: bool
    is_recorded: bool = False


STALE = Spent(is_fresh=False)


def alone(row: Use) -> Spent:
    """Write one by itself."""
    return together([row])[0]


def together(batch: Sequence[Use]) -> list[Spent]:
    """Write all in one transaction."""
    return in_one_statement(batch) if is_possible() else in_one_transaction(batch)


def in_one_statement(batch: Sequence[Use]) -> list[Spent]:
    """Write on PostgreSQL, as if they came one after the other."""
    outcomes = [STALE] * len(batch)
    parameter = json.dumps([_columns(number, row) for number, row in enumerate(batch)])
    for number, is_recorded in rows(_STATEMENT, (parameter,)):
        outcomes[number] = Spent(True, is_recorded)
    announce()
    return outcomes


def in_one_transaction(batch: Sequence[Use]) -> list[Spent]:
    """Write by the ORM: on SQLite, where writers come one at a time."""
    with transaction.atomic():
        return [_in_turn(row) for row in batch]


def _in_turn(row: Use) -> Spent:
    if not replay.remember(row.proof):
        return STALE
    is_live = row.token is not None and _is_live(row.token, now=row.now)
    if is_live:
        enter(row.payload)
    return Spent(True, is_live)


def _is_live(token: int, *, now: datetime) -> bool:
    held = AccessToken.of_every_kind.select_for_update(of=("self",), no_key=True).filter(pk=token, revoked_at=None)
    return held.filter(expires__gt=now, agent__state=AgentState.ACTIVE).first() is not None


def _columns(number: int, row: Use) -> dict[str, Any]:
    return {
        "n": number,
        "client": row.proof.client_ref,
        "jti": row.proof.jti_hash,
        "made_at": row.proof.issued_at.isoformat(),
        "until": row.proof.expires_at.isoformat(),
        "token": row.token,
        "asked_at": row.now.isoformat(),
        "payload": row.payload.decode(),
    }
