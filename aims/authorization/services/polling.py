"""Polls that are answered in vain: in time, too early, two at once. Spec: CIBA Core 1.0 §10.1, §11.

Most polls are simply in time. On PostgreSQL one statement answers these, or does nothing: what it does not cover (too
early, decided, expired, unknown, a client that changed) is left to the checks in the order of the specification.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

from django.db import transaction
from django.db.models import F

from aims.authentication import replay
from aims.authentication.client import Client
from aims.authorization.models import Application, BackchannelRequest
from aims.authorization.queries import CIBA
from aims.authorization.request_errors import AuthorizationPending, SlowDown
from aims.authorization.states import OPEN
from aims.identifier.models import Agent, AgentState
from aims.kit.ids import digest
from aims.kit.prepared import is_possible, one_row

MODES = frozenset({"poll", "ping"})  # §10.1: a push client may not come here
SLOWER_BY_S = 5
EARLY_TOLERANCE = timedelta(milliseconds=500)  # the interval is measured where the poll is sent, not where it arrives


def _either(words: frozenset[str]) -> str:
    return "', '".join(sorted(words))


_AFTER_ITS_INTERVAL = "(door.last_poll_at IS NULL OR door.last_poll_at <= %s - make_interval(secs => door.interval_s))"
# unhurried: nothing is granted, so the answer does not wait for the disk.
# asked: the agent may come from memory, so its version is asked for. A proof that was used moves no door: nobody who
#   stole one can make its owner too early.
# spent, then counted: the order of every other write of a poll, so that no two wait for each other. Of two at once, the
#   second waits for the door's row, and PostgreSQL looks at its newest version again.
_IN_TIME = f"""
WITH unhurried AS MATERIALIZED ({replay.UNHURRIED}), asked AS MATERIALIZED (
    SELECT door.id FROM unhurried, authorization_backchannelrequest door
    JOIN authorization_approvalrequest request ON request.id = door.request_id
    JOIN identifier_agent agent ON agent.id = request.agent_id
    LEFT JOIN authorization_application client ON client.agent_id = agent.id
    WHERE door.auth_req_id_hash = %s AND {_AFTER_ITS_INTERVAL}
    AND request.state IN ('{_either(OPEN)}') AND request.expires_at > %s
    AND agent.ref = %s AND agent.version = %s AND agent.state = '{AgentState.ACTIVE}'
    AND (client.id IS NULL
        OR client.grant_types ? '{CIBA}' AND client.backchannel_token_delivery_mode IN ('{_either(MODES)}'))
    AND door.jkt IN ('', %s) AND {replay.MADE_BY_NOW} AND NONE_SPENT
), spent AS (
    SPEND
), counted AS (
    UPDATE authorization_backchannelrequest door SET last_poll_at = %s, polls = door.polls + 1
    FROM asked WHERE ALL_FRESH AND door.id = asked.id AND {_AFTER_ITS_INTERVAL} RETURNING door.interval_s
)
SELECT (SELECT count(*) FROM spent), (SELECT count(*) FROM spent WHERE client_ref <> '{replay.OF_KEY}'),
    (SELECT interval_s FROM counted) FROM asked
"""  # noqa: S608 made of constants


@cache
def _in_time(proofs: int) -> str:
    """Return the statement for so many proofs."""
    none_spent = " AND ".join([f"NOT {replay.SPENT}"] * proofs)
    filled = _IN_TIME.replace("SPEND", replay.inserted(proofs, source="asked")).replace("NONE_SPENT", none_spent)
    return filled.replace("ALL_FRESH", replay.all_fresh(proofs))


def may_poll(application: Application) -> bool:
    """Return whether a client registered this grant, and a way of delivery that comes here."""
    return application.allows_grant_type(CIBA) and application.backchannel_token_delivery_mode in MODES


def answer_in_time(client: Client, agent: Agent, auth_req_id: str, *, now: datetime) -> AuthorizationPending | None:
    """Return the answer to a poll that is in time and that nobody has decided about; its proof is spent, it is counted.

    None: nothing was written. Raises ProofReplayed, DpopReplayed. Call it outside transactions: what commits with it may be forgotten
    in a crash of the database, as the proof may (``aims.authentication.replay``).
    """
    if not is_possible():
        return None
    row = one_row(_in_time(len(client.proofs)), _parameters(client, agent, auth_req_id, now))
    if row is None:
        return None
    spent, own, interval_s = row
    if spent != len(client.proofs):
        raise replay.stale(client.proofs, has_spent_own=bool(own))
    if interval_s is None:  # another poll was answered while this one was looked at
        return _overlapped(agent, auth_req_id, now=now)
    return AuthorizationPending(retry_after_s=interval_s)


def answer_pending(door: BackchannelRequest, *, now: datetime) -> AuthorizationPending:
    """Return the answer to a poll for a request that waits, and count it, in the caller's transaction."""
    mine, counted = BackchannelRequest.objects.filter(pk=door.pk), {"last_poll_at": now, "polls": F("polls") + 1}
    last = door.last_poll_at
    is_in_time = last is None or now >= last + timedelta(seconds=door.interval_s) - EARLY_TOLERANCE
    # Two polls at once: the one that does not move the clock overlapped the other, which §11 forbids.
    if is_in_time and mine.filter(last_poll_at=last).update(**counted):
        return AuthorizationPending(retry_after_s=door.interval_s)
    mine.update(interval_s=F("interval_s") + SLOWER_BY_S, **counted)
    return SlowDown(retry_after_s=door.interval_s + SLOWER_BY_S)


def door_of(agent: Agent, auth_req_id: str) -> BackchannelRequest | None:
    """Return the door that an id opens, with its request. Bound to the client: an id in the wrong hands is as unknown,
    and stays good for its owner.
    """
    found = BackchannelRequest.objects.filter(auth_req_id_hash=digest(auth_req_id), request__agent=agent)
    return found.select_related("request").first()


def _overlapped(agent: Agent, auth_req_id: str, *, now: datetime) -> AuthorizationPending:
    with transaction.atomic():
        door = door_of(agent, auth_req_id)
        assert door is not None, "the statement found it"
        return answer_pending(door, now=now)


def _parameters(client: Client, agent: Agent, auth_req_id: str, now: datetime) -> tuple[object, ...]:
    proofs, latest = client.proofs, now + EARLY_TOLERANCE
    made_at = max(proof.issued_at for proof in proofs)
    mine = (part for proof in proofs for part in (proof.client_ref, proof.jti_hash))
    asked = (digest(auth_req_id), latest, now, agent.ref, agent.version, client.jkt, made_at, *mine)
    return (*asked, *replay.values(proofs), now, latest)
