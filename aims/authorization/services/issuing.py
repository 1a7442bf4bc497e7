"""The one write of tokens: for each, proof, token and entry together, or nothing; the approval too where it rests on one.

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
from aims.authorization.models import AccessToken, ApprovalRequest
from aims.authorization.services.metering import Share, charge, is_metered, note
from aims.authorization.services.order import begin
from aims.authorization.services.tokens import Prepared, insert
from aims.authorization.states import RequestState
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.prepared import is_possible, rows
from aims.people.models import Role, User
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
# approved: an approval that can be used up is locked before any proof is spent; one that somebody is changing gives no
#   row, nor does the second of one batch for the same one. redeemed: used up with the token's row, by the count of rows.
#   Who approved is asked for once more, as a person may lose the role at any moment and no version tells.
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
        authorization_details jsonb, issued_at timestamptz, expires timestamptz, payload text, uses jsonb,
        request bigint, closing text)
), agent AS MATERIALIZED (
    SELECT agent.id, agent.ref, agent.version FROM identifier_agent agent
    JOIN (SELECT DISTINCT agent AS ref, agent_version AS version FROM batch) AS asked USING (ref, version)
    WHERE agent.state = '{AgentState.ACTIVE}' ORDER BY agent.ref FOR SHARE OF agent LOCKED
APPROVED), seen AS MATERIALIZED (
    SELECT batch.*, agent.id AS agent_id FROM batch
    JOIN agent ON agent.ref = batch.agent AND agent.version = batch.agent_version
    JOIN identifier_resource r ON r.ref = place AND r.version = place_version AND r.retired_at IS NULL
    JOIN policy_policyversion p ON p.number = policy AND p.hash = policy_hash AND p.is_active
    WHERE NOT EXISTS (SELECT FROM latch) STILL_APPROVED
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
REDEEMED), won AS MATERIALIZED (
    WON
), stored AS (
    INSERT INTO authorization_accesstoken (agent_id, request_id, token, created, updated, token_checksum, jti,
        subject_ref, txn, jkt, x5t_s256, audience, resource, scope, authorization_details, issued_at, expires)
    SELECT agent_id, request, '', now(), now(), token_checksum, jti,
        subject_ref, txn, jkt, x5t_s256, audience, resource, scope, authorization_details, issued_at, expires
    FROM won
), entered AS (
    {INBOX_INSERT} ENTRIES
), noted AS (
    INSERT INTO authorization_grantuse (grant_id, jti, at, amounts)
    SELECT (used->>'grant')::bigint, jti, issued_at, used->'amounts' FROM won, jsonb_array_elements(uses) AS used
)
SELECT n, coalesce(fresh.proofs, 0)::int, coalesce(has_own, false) FROM seen LEFT JOIN fresh USING (n)
"""  # noqa: S608 made of constants

_PAID = "SELECT seen.* FROM seen JOIN fresh USING (n, proofs)"
_ALONE = {
    "STILL_APPROVED": "",
    "APPROVED": "",
    "REDEEMED": "",
    "WON": _PAID,
    "ENTRIES": "SELECT convert_to(payload, 'UTF8') FROM won",
}
_WITH_APPROVALS = {
    "STILL_APPROVED": """AND (request IS NULL OR (request, agent.id) IN (SELECT id, agent_id FROM approved)
        AND n = (SELECT min(n) FROM batch twin WHERE twin.request = batch.request))""",
    "APPROVED": f"""), approved AS MATERIALIZED (
    SELECT request.id, request.agent_id FROM authorization_approvalrequest request
    JOIN (SELECT request AS id, max(issued_at) AS now FROM batch GROUP BY request) AS asked USING (id)
    JOIN agent ON agent.id = request.agent_id
    WHERE request.state = '{RequestState.APPROVED}' AND request.approved_until_at > asked.now
    AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(request.decided_by) AS decided (ref) WHERE NOT EXISTS (
        SELECT FROM people_user person JOIN people_roleholding held ON held.person_id = person.id
        WHERE person.ref = decided.ref AND person.is_active AND held.role = '{Role.APPROVER}'
        AND held.until_at IS NULL))
    ORDER BY request.id FOR NO KEY UPDATE OF request LOCKED
""",  # noqa: S608 made of constants
    "REDEEMED": f"""), paid AS MATERIALIZED (
    {_PAID}
), redeemed AS (
    UPDATE authorization_approvalrequest request SET state = '{RequestState.REDEEMED}', redeemed_at = paid.issued_at
    FROM paid WHERE request.id = paid.request AND request.state = '{RequestState.APPROVED}' RETURNING n
""",  # noqa: S608 made of constants
    "WON": "SELECT paid.* FROM paid WHERE request IS NULL OR n IN (SELECT n FROM redeemed)",
    "ENTRIES": """SELECT convert_to(said, 'UTF8') FROM won, LATERAL (VALUES (1, payload), (2, closing)) AS each (at, said)
        WHERE said IS NOT NULL ORDER BY n, at""",
}


@cache
def statement(*, waits: bool, redeems: bool = False) -> str:
    """Return the statement. waits: for agents that are being changed; else these are as good as changed.

    redeems: some of the tokens rest on an approval, which is used up.
    """
    filled = _STATEMENT
    for name, part in (_WITH_APPROVALS if redeems else _ALONE).items():
        filled = filled.replace(name, part)
    return filled.replace(" LOCKED", "" if waits else " SKIP LOCKED")


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
    """A token that was decided on in memory and is still to be written.

    payload, closing: of ``audit.write.inbox_payload``; closing: that the token's approval is used up, where it has one.
    columns: of ``columns_of``, where they are written already.
    """

    prepared: Prepared
    proofs: Sequence[Proof]
    seen: Seen
    payload: bytes
    closing: bytes | None = None
    columns: str = ""

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


def alone(row: Issue, *, waits: bool) -> Outcome:
    """Write one by itself. waits: for who is changing its agent. Raises BudgetSpent (nothing was written)."""
    if is_possible() and not row.is_metered:
        return in_one_statement([row], waits=waits)[0]
    return in_one_transaction([row])[0]


def judge(row: Issue, outcome: Outcome) -> None:
    """Raise what an outcome means if it is not a token. Asks the database why a proof was not fresh.

    Raises Outdated (something seen has changed; nothing was written, the proofs are good still), ProofReplayed,
    DpopReplayed (then the proofs are spent, and nothing else was written).
    """
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
    outcomes = [OUTDATED] * len(batch)
    redeems = any(row.closing for row in batch)
    for number, fresh, has_own in rows(statement(waits=waits, redeems=redeems), (parameter_of(batch),)):
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
    if not _is_as_seen(row.seen) or not _is_approved(row):
        return OUTDATED
    with transaction.atomic():  # a budget without room takes back the proofs too
        is_fresh = [replay.remember(proof) for proof in row.proofs]
        if all(is_fresh):
            charge(row.seen.shares, now=row.prepared.now)
            insert(row.prepared)
            note(row.seen.shares, jti=row.prepared.jti, now=row.prepared.now)
            enter(row.payload)
            _use_up(row)
    return Outcome(True, sum(is_fresh), is_fresh[0])


def _is_as_seen(seen: Seen) -> bool:
    agents = Agent.objects.filter(ref=seen.agent.ref, version=seen.agent.version, state=AgentState.ACTIVE)
    resources = Resource.objects.filter(ref=seen.resource.ref, version=seen.resource.version, retired_at=None)
    policies = PolicyVersion.objects.filter(number=seen.policy_version, hash=seen.policy_hash, is_active=True)
    return agents.exists() and resources.exists() and policies.exists()


def _is_approved(row: Issue) -> bool:
    """Return whether the token's approval, if it rests on one, can be used up; from here on nobody else changes it."""
    request = row.prepared.request
    if request is None:
        return True
    mine = ApprovalRequest.objects.select_for_update(no_key=True).filter(pk=request.pk, agent=row.seen.agent)
    held = mine.filter(state=RequestState.APPROVED, approved_until_at__gt=row.prepared.now).first()
    if held is None:
        return False
    deciders = User.objects.filter(ref__in=held.decided_by, is_active=True)
    return deciders.filter(role_holdings__role=Role.APPROVER, role_holdings__until_at=None).count() == len(
        held.decided_by
    )


def _use_up(row: Issue) -> None:
    if row.closing is None:
        return
    assert row.prepared.request is not None
    held = ApprovalRequest.objects.filter(pk=row.prepared.request.pk, state=RequestState.APPROVED)
    moved = held.update(state=RequestState.REDEEMED, redeemed_at=row.prepared.now)
    assert moved == 1, "it was locked"
    enter(row.closing)


def parameter_of(batch: Sequence[Issue]) -> str:
    """Return the one parameter of the statement: JSON, each row with its number."""
    each = (f'{{"n": {number}, {row.columns or columns_of(row)}' for number, row in enumerate(batch))
    return f"[{','.join(each)}]"


def columns_of(row: Issue) -> str:
    """Return what the statement reads of a row as JSON, without its number and so without the bracket before it."""
    seen, (own, *others) = row.seen, row.proofs
    key = others[0] if others else None
    values = row.prepared.values()
    columns = values | {
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
        "request": row.prepared.request and row.prepared.request.pk,
        "closing": row.closing and row.closing.decode(),
        "uses": [{"grant": share.grant.pk, "amounts": dict(share.amounts)} for share in seen.shares],
    }
    return json.dumps(columns)[1:]
