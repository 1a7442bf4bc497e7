"""The one write of tokens that nobody is asked for: for each, proof, token and entry together, or nothing.

The decision was made on what was read before, perhaps from memory (``aims.kit.kept``). So the write itself asks
whether agent, resource and policy are still those that were seen: a revocation counts from its commit on, whatever
a process remembers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import transaction

from aims.authentication import replay
from aims.authentication.replay import Proof
from aims.authorization.errors import Outdated
from aims.authorization.models import AccessToken
from aims.authorization.services.metering import Share, charge, is_metered, note
from aims.authorization.services.order import begin
from aims.authorization.services.tokens import Prepared, insert
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.prepared import is_possible, rows
from aims.policy import latch
from aims.policy.models import PolicyVersion
from audit.write import INBOX_INSERT, announce, enter

# agent: the row lock makes a suspension wait for us, and us for a suspension that is under way; after the wait
#   PostgreSQL looks at the row's newest version again, so a suspended or changed agent gives no row.
# latch: a policy that is being put in force makes us wait, and waits for us (aims/policy/latch.py).
# seen: no row, nothing is written. proof: as if the requests came one after the other: of equal proofs the first counts.
#   spent: the insert is the replay check; a second use gives no row, nor does a proof from before our memory, and
#   without all of them (won) no token and no entry either. The answer tells for each request that was seen how many of
#   its proofs were fresh, and whether its own was.
# One statement is one transaction: there is no BEGIN to wait for, and nothing between its parts to crash in. One
# parameter of JSON is read in C on both sides; the columns of every request as arrays cost twice as much.
_STATEMENT = f"""
WITH latch AS MATERIALIZED (
    {latch.SHARED}
), batch AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS row (n int, agent varchar, agent_version int, place varchar,
        place_version int, policy int, policy_hash varchar, proofs int, made_at timestamptz, client varchar,
        own varchar, own_until timestamptz, key varchar, key_until timestamptz, token_checksum varchar, jti varchar,
        subject_ref varchar, txn varchar, jkt varchar, x5t_s256 varchar, audience varchar, resource jsonb, scope text,
        authorization_details jsonb, issued_at timestamptz, expires timestamptz, payload text, uses jsonb)
), agent AS MATERIALIZED (
    SELECT agent.id, agent.ref, agent.version FROM identifier_agent agent
    JOIN (SELECT DISTINCT agent AS ref, agent_version AS version FROM batch) AS asked USING (ref, version)
    WHERE agent.state = '{AgentState.ACTIVE}' ORDER BY agent.ref FOR SHARE OF agent LOCKED
), seen AS MATERIALIZED (
    SELECT batch.*, agent.id AS agent_id FROM batch
    JOIN agent ON agent.ref = batch.agent AND agent.version = batch.agent_version
    JOIN identifier_resource r ON r.ref = place AND r.version = place_version AND r.retired_at IS NULL
    JOIN policy_policyversion p ON p.number = policy AND p.hash = policy_hash AND p.is_active
    WHERE NOT EXISTS (SELECT FROM latch)
), proof AS MATERIALIZED (
    SELECT n, is_own, client_ref, jti_hash, expires_at, n = min(n) OVER (PARTITION BY client_ref, jti_hash) AS is_first
    FROM seen, LATERAL (VALUES (true, client, own, own_until), (false, '{replay.OF_KEY}', key, key_until))
        AS said (is_own, client_ref, jti_hash, expires_at)
    WHERE jti_hash IS NOT NULL AND {replay.covered("made_at")}
), spent AS (
    {replay.INSERTED_TOGETHER}
), fresh AS MATERIALIZED (
    SELECT n, count(*) AS proofs, bool_or(is_own) AS has_own
    FROM proof JOIN spent USING (client_ref, jti_hash) WHERE is_first GROUP BY n
), won AS MATERIALIZED (
    SELECT seen.* FROM seen JOIN fresh USING (n, proofs)
), stored AS (
    INSERT INTO authorization_accesstoken (agent_id, token, created, updated, token_checksum, jti, subject_ref, txn,
        jkt, x5t_s256, audience, resource, scope, authorization_details, issued_at, expires)
    SELECT agent_id, '', now(), now(), token_checksum, jti, subject_ref, txn,
        jkt, x5t_s256, audience, resource, scope, authorization_details, issued_at, expires
    FROM won
), entered AS (
    {INBOX_INSERT} SELECT convert_to(payload, 'UTF8') FROM won
), noted AS (
    INSERT INTO authorization_grantuse (grant_id, jti, at, amounts)
    SELECT (used->>'grant')::bigint, jti, issued_at, used->'amounts' FROM won, jsonb_array_elements(uses) AS used
)
SELECT n, coalesce(fresh.proofs, 0)::int, coalesce(has_own, false) FROM seen LEFT JOIN fresh USING (n)
"""  # noqa: S608 made of constants


@cache
def statement(*, waits: bool) -> str:
    """Return the statement. waits: for agents that are being changed; else these are as good as changed."""
    return _STATEMENT.replace(" LOCKED", "" if waits else " SKIP LOCKED")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the decision was made on: each has a version that rises with every change.

    shares: what the token takes from the grants that it rests on; their changes count as the agent's.
    """

    agent: Agent
    resource: Resource
    policy_version: int
    policy_hash: str
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Issue:
    """A token that was decided on in memory and is still to be written. payload: of ``audit.write.inbox_payload``."""

    prepared: Prepared
    proofs: Sequence[Proof]
    seen: Seen
    payload: bytes

    @property
    def is_metered(self) -> bool:
        """Return whether a budget has to be charged, which only ``in_one_transaction`` does."""
        return is_metered(self.seen.shares)


@dataclass(frozen=True)
class Outcome:
    """What became of it. fresh: how many of its proofs were, and are spent now; has_own: its own among them."""

    is_as_seen: bool
    fresh: int = 0
    has_own: bool = False


OUTDATED = Outcome(is_as_seen=False)


def issue(row: Issue) -> None:
    """Spend the proofs, store the token's row and its entry.

    Raises Outdated (something seen has changed; nothing was written, the proofs are good still), ProofReplayed,
    DpopReplayed (then the proofs are spent, and nothing else was written), BudgetSpent (nothing was written).
    """
    if is_possible() and not row.is_metered:
        (outcome,) = in_one_statement([row], waits=True)
    else:
        (outcome,) = in_one_transaction([row])
    judge(row, outcome)


def judge(row: Issue, outcome: Outcome) -> None:
    """Raise, as ``issue``, what an outcome means if it is not a token. Asks the database why a proof was not fresh."""
    if not outcome.is_as_seen:
        raise Outdated
    if not is_issued(row, outcome):
        raise replay.stale(row.proofs, has_spent_own=outcome.has_own)


def is_issued(row: Issue, outcome: Outcome) -> bool:
    """Return whether the token counts."""
    return outcome.is_as_seen and outcome.fresh == len(row.proofs)


def in_one_statement(batch: Sequence[Issue], *, waits: bool) -> list[Outcome]:
    """Write on PostgreSQL. Prepared once a connection: planning would cost more than running.

    waits: for agents that somebody is changing. Whoever writes for many does not, lest all of them wait for one; such
    a row's outcome is OUTDATED, and whoever asked looks again.
    """
    parameter = json.dumps([_columns(number, row) for number, row in enumerate(batch)])
    outcomes = [OUTDATED] * len(batch)
    for number, fresh, has_own in rows(statement(waits=waits), (parameter,)):
        outcomes[number] = Outcome(True, fresh, has_own)
    announce()
    return outcomes


def in_one_transaction(batch: Sequence[Issue]) -> list[Outcome]:
    """Write by the ORM: on SQLite, where writers come one at a time, and a batch of one wherever a budget is metered."""
    with transaction.atomic():
        return [_in_turn(row) for row in batch]


def find(batch: Sequence[Issue]) -> list[Outcome | None]:
    """Return the outcome of each that is stored, None for the others."""
    stored = set(AccessToken.objects.filter(jti__in=[row.prepared.jti for row in batch]).values_list("jti", flat=True))
    return [Outcome(True, len(row.proofs), True) if row.prepared.jti in stored else None for row in batch]


def _in_turn(row: Issue) -> Outcome:
    begin(row.seen.agent)
    if not _is_as_seen(row.seen):
        return OUTDATED
    with transaction.atomic():  # a budget without room takes back the proofs too
        is_fresh = [replay.remember(proof) for proof in row.proofs]
        if all(is_fresh):
            charge(row.seen.shares, now=row.prepared.now)
            insert(row.prepared)
            note(row.seen.shares, jti=row.prepared.jti, now=row.prepared.now)
            enter(row.payload)
    return Outcome(True, sum(is_fresh), is_fresh[0])


def _is_as_seen(seen: Seen) -> bool:
    agents = Agent.objects.filter(ref=seen.agent.ref, version=seen.agent.version, state=AgentState.ACTIVE)
    resources = Resource.objects.filter(ref=seen.resource.ref, version=seen.resource.version, retired_at=None)
    policies = PolicyVersion.objects.filter(number=seen.policy_version, hash=seen.policy_hash, is_active=True)
    return agents.exists() and resources.exists() and policies.exists()


def _columns(number: int, row: Issue) -> dict[str, Any]:
    seen, (own, *others) = row.seen, row.proofs
    key = others[0] if others else None
    values = row.prepared.values()
    return values | {
        "n": number,
        "agent": seen.agent.ref,
        "agent_version": seen.agent.version,
        "place": seen.resource.ref,
        "place_version": seen.resource.version,
        "policy": seen.policy_version,
        "policy_hash": seen.policy_hash,
        "proofs": len(row.proofs),
        "made_at": min(proof.issued_at for proof in row.proofs).isoformat(),
        "client": own.client_ref,
        "own": own.jti_hash,
        "own_until": own.expires_at.isoformat(),
        "key": key and key.jti_hash,
        "key_until": key and key.expires_at.isoformat(),
        "issued_at": values["issued_at"].isoformat(),
        "expires": values["expires"].isoformat(),
        "payload": row.payload.decode(),
        "uses": [{"grant": share.grant.pk, "amounts": dict(share.amounts)} for share in seen.shares],
    }
