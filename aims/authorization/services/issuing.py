"""The one write of a token that nobody is asked for: proof, token and entry together, or nothing.

The decision was made on what was read before, perhaps from memory (``aims.kit.kept``). So the write itself asks
whether agent, resource and policy are still those that were seen: a revocation counts from its commit on, whatever
a process remembers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from django.db import transaction

from aims.authentication import replay
from aims.authentication.replay import Proof
from aims.authorization.errors import Outdated
from aims.authorization.services.metering import Share, charge, is_metered, note
from aims.authorization.services.order import begin
from aims.authorization.services.tokens import Prepared, insert
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.prepared import is_possible, one_row
from aims.policy import latch
from aims.policy.models import PolicyVersion
from audit.write import INBOX_INSERT, announce, enter

# agent: the row lock makes a suspension wait for us, and us for a suspension that is under way; after the wait
#   PostgreSQL looks at the row's newest version again, so a suspended or changed agent gives no row.
# latch: a policy that is being put in force makes us wait, and waits for us (aims/policy/latch.py).
# seen: no row, nothing is written. spent: the insert is the replay check; a second use gives no row, nor does a proof
#   from before our memory, and without all of them no token and no entry either. The answer tells apart what was
#   outdated, which proof was not fresh, and what was written.
# One statement is one transaction: there is no BEGIN to wait for, and nothing between its parts to crash in.
_STATEMENT = f"""
WITH latch AS MATERIALIZED (
    {latch.SHARED}
), agent AS MATERIALIZED (
    SELECT id FROM identifier_agent WHERE ref = %s AND version = %s AND state = '{AgentState.ACTIVE}' FOR SHARE
), seen AS MATERIALIZED (
    SELECT agent.id FROM agent
    JOIN identifier_resource r ON r.ref = %s AND r.version = %s AND r.retired_at IS NULL
    JOIN policy_policyversion p ON p.number = %s AND p.hash = %s AND p.is_active
    WHERE NOT EXISTS (SELECT FROM latch)
), spent AS (
    SPEND
), stored AS (
    INSERT INTO authorization_accesstoken (agent_id, token, created, updated, token_checksum, jti, subject_ref, txn,
        jkt, x5t_s256, audience, resource, scope, authorization_details, issued_at, expires)
    SELECT seen.id, '', now(), now(), %s::varchar, %s::varchar, %s::varchar, %s::varchar,
        %s::varchar, %s::varchar, %s::varchar, %s::jsonb, %s::text, %s::jsonb, %s::timestamptz, %s::timestamptz
    FROM seen WHERE ALL_FRESH
), entered AS (
    {INBOX_INSERT} SELECT %s::bytea WHERE ALL_FRESH
), noted AS (
    INSERT INTO authorization_grantuse (grant_id, jti, at, amounts)
    SELECT (used->>'grant')::bigint, %s::varchar, %s::timestamptz, used->'amounts'
    FROM jsonb_array_elements(%s::jsonb) AS used WHERE ALL_FRESH
)
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM spent),
    (SELECT count(*) FROM spent WHERE client_ref <> '{replay.OF_KEY}')
"""  # noqa: S608 made of constants


@cache
def statement(proofs: int) -> str:
    """Return the statement for so many proofs: the client's own, and that of a key by DPoP."""
    spend = replay.inserted(proofs, source="seen")
    return _STATEMENT.replace("SPEND", spend).replace("ALL_FRESH", replay.all_fresh(proofs))


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


def issue(prepared: Prepared, *, proofs: Sequence[Proof], seen: Seen, payload: bytes) -> None:
    """Spend the proofs, store the token's row and its entry. payload: of ``audit.write.inbox_payload``.

    Raises Outdated (something seen has changed; nothing was written, the proofs are good still), ProofReplayed,
    DpopReplayed, BudgetSpent (nothing was written either).
    """
    is_fast = is_possible() and not is_metered(seen.shares)
    write = in_one_statement if is_fast else in_one_transaction
    write(prepared, proofs, seen, payload)


def in_one_statement(prepared: Prepared, proofs: Sequence[Proof], seen: Seen, payload: bytes) -> None:
    """Write on PostgreSQL. Prepared once a connection: planning would cost more than running."""
    _judge(proofs, one_row(statement(len(proofs)), _parameters(prepared, proofs, seen, payload)) or (0, 0, 0))
    announce()


def in_one_transaction(prepared: Prepared, proofs: Sequence[Proof], seen: Seen, payload: bytes) -> None:
    """Write by the ORM: on SQLite, where writers come one at a time, and wherever a budget is metered."""
    with transaction.atomic():
        begin(seen.agent)
        if not _is_as_seen(seen):
            raise Outdated
        replay.spend(*proofs)
        charge(seen.shares, now=prepared.now)
        insert(prepared)
        note(seen.shares, jti=prepared.jti, now=prepared.now)
        enter(payload)


def _judge(proofs: Sequence[Proof], row: tuple[int, int, int]) -> None:
    is_as_seen, spent, own = row
    if not is_as_seen:
        raise Outdated
    if spent != len(proofs):
        raise replay.stale(proofs, has_spent_own=bool(own))


def _is_as_seen(seen: Seen) -> bool:
    agents = Agent.objects.filter(ref=seen.agent.ref, version=seen.agent.version, state=AgentState.ACTIVE)
    resources = Resource.objects.filter(ref=seen.resource.ref, version=seen.resource.version, retired_at=None)
    policies = PolicyVersion.objects.filter(number=seen.policy_version, hash=seen.policy_hash, is_active=True)
    return agents.exists() and resources.exists() and policies.exists()


def _parameters(prepared: Prepared, proofs: Sequence[Proof], seen: Seen, payload: bytes) -> tuple[object, ...]:
    values = prepared.values()
    details = values["authorization_details"]
    return (
        seen.agent.ref,
        seen.agent.version,
        seen.resource.ref,
        seen.resource.version,
        seen.policy_version,
        seen.policy_hash,
        *replay.values(proofs),
        values["token_checksum"],
        values["jti"],
        values["subject_ref"],
        values["txn"],
        values["jkt"],
        values["x5t_s256"],
        values["audience"],
        json.dumps(values["resource"]),
        values["scope"],
        None if details is None else json.dumps(details),
        values["issued_at"],
        values["expires"],
        payload,
        values["jti"],
        values["issued_at"],
        json.dumps([{"grant": share.grant.pk, "amounts": dict(share.amounts)} for share in seen.shares]),
    )
