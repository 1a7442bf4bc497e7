"""What ends with an authority: tokens, and requests that wait, in the transaction of the verb that ends it.

The caller holds the agent's row. Whoever issues, opens or redeems takes it too, so either we see what they made, or
they see the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from aims.authorization import queries
from aims.authorization.events import TokensEnded
from aims.authorization.impact import fallen_families, fallen_requests, fallen_tokens, tokens_at, tokens_by
from aims.authorization.models import AccessToken, DelegationGrant, ForeignServer
from aims.authorization.request_errors import AlreadyDecided
from aims.authorization.services import families, trees
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.authorization.services.requests import cancel
from aims.identifier.models import Agent
from aims.kit.nudge import Topic, nudge
from aims.people.models import User
from audit.write import NOBODY, Facts, record

JTIS_MAX = 200  # named in one entry; the others are counted
GRANT_REVOKED, GRANT_NARROWED, GRANT_EXPIRED = "grant_revoked", "grant_narrowed", "grant_expired"


def end_tokens_of(agent: Agent, *, reason: str, by: str, now: datetime) -> int:
    """End every token of an agent that still counts; return how many."""
    live = AccessToken.of_every_kind.filter(agent=agent, revoked_at=None, expires__gt=now)
    trees.lock(live)
    rows = list(live.select_for_update(of=("self",), no_key=True).order_by("-pk"))
    ended = _end(rows, _facts(agent, None, reason), reason=reason, grant=None, by=by, now=now)
    families.end_families_of(agent, reason=reason, by=by, now=now)
    return ended


def end_under(grant: DelegationGrant, *, by: str, now: datetime, reason: str = GRANT_REVOKED) -> None:
    """End what this grant, as it was, let its agent do, unless a grant that stands now lets it too.

    Requests that wait or were not redeemed yet are withdrawn, tokens stop being active.
    """
    others = queries.grants_at(grant.agent, grant.resource.identifier, now=now)
    for request in fallen_requests(grant, others, now=now):
        try:
            cancel(request, by=by, reason=reason, now=now)
        except AlreadyDecided:  # a no or an expiry was faster: it has ended anyway
            continue
    trees.lock(tokens_at(grant, now=now))
    live = tokens_at(grant, now=now).select_for_update(of=("self",), no_key=True)
    rows = list(fallen_tokens(grant, others, live, now=now))
    facts = _facts(grant.agent, grant.resource.identifier, reason)
    _end(rows, facts, reason=reason, grant=grant.ref, by=by, now=now)
    after = DelegationGrant.objects.filter(pk=grant.pk, revoked_at=None).first()
    for family in fallen_families(grant, after, now=now):
        families.end_family(family, reason=reason, by=by, now=now)


def end_tokens_by(server: ForeignServer, *, reason: str, by: str, now: datetime) -> int:
    """End every token that was issued on another server's word, and what we said to it; return how many."""
    live = tokens_by([server], now=now)
    trees.lock(live)
    rows = list(live.select_for_update(of=("self",), no_key=True).order_by("-pk"))
    facts = replace(NOBODY, resource=server.issuer, decision="deny", remediation=reason)
    return _end(rows, facts, reason=reason, grant=None, by=by, now=now)


def _end(rows: Sequence[AccessToken], facts: Facts, *, reason: str, grant: str | None, by: str, now: datetime) -> int:
    if not rows:
        return 0
    rows = [*rows, *trees.below(rows, now=now)]  # what was exchanged for them ends with them
    AccessToken.of_every_kind.filter(pk__in=[row.pk for row in rows]).update(revoked_at=now)
    jtis = [str(row.jti) for row in rows[:JTIS_MAX]]
    record(TokensEnded(reason=reason, grant=grant, count=len(rows), jtis=jtis), by=by, facts=facts)
    nudge(Topic.INBOX, to=_concerned(rows))
    return len(rows)


def _concerned(rows: Sequence[AccessToken]) -> set[str]:
    """Return who may have these tokens before them: those who answer for their agents, and whom they were for."""
    owners = User.objects.filter(owned_agents__in={row.agent_id for row in rows}).values_list("ref", flat=True)
    return {*owners, *(row.subject_ref for row in rows)}


def _facts(agent: Agent, resource: str | None, reason: str) -> Facts:
    return Facts(
        agent=agent.identifier,
        subject=None,
        resource=resource,
        action=None,
        decision="deny",
        txn=None,
        posture=POSTURE_UNKNOWN,
        remediation=reason,
    )
