"""What ends with an authority: tokens, and requests that wait, in the transaction of the verb that ends it.

The caller holds the agent's row. Whoever issues, opens or redeems takes it too, so either we see what they made, or
they see the end.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from aims.authorization import queries
from aims.authorization.errors import OAuthError
from aims.authorization.events import TokensEnded
from aims.authorization.models import AccessToken, ApprovalRequest, DelegationGrant
from aims.authorization.request_errors import AlreadyDecided
from aims.authorization.services import trees
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.authorization.services.requests import WITHDRAWABLE, cancel
from aims.authorization.target import read_target
from aims.identifier.models import Agent
from audit.write import Facts, record

JTIS_MAX = 200  # named in one entry; the others are counted
GRANT_REVOKED = "grant_revoked"


class Item(NamedTuple):
    """One thing that a token or a request carries. detail_type: empty where scope alone asks for it."""

    action: str
    detail_type: str


def end_tokens_of(agent: Agent, *, reason: str, by: str, now: datetime) -> int:
    """End every token of an agent that still counts; return how many."""
    live = AccessToken.objects.filter(agent=agent, revoked_at=None, expires__gt=now)
    trees.lock(live)
    rows = list(live.select_for_update(of=("self",), no_key=True).order_by("-pk"))
    return _end(rows, _facts(agent, None, reason), reason=reason, grant=None, by=by, now=now)


def end_under(grant: DelegationGrant, *, by: str, now: datetime) -> None:
    """End what this grant, just taken back, let its agent do, unless another live grant lets it too.

    Requests that wait or were not redeemed yet are withdrawn, tokens stop being active.
    """
    others = queries.grants_at(grant.agent, grant.resource.identifier, now=now)
    _withdraw(grant, others, by=by, now=now)
    rows = [row for row in _tokens_at(grant, now=now) if _token_falls(grant, others, row, now=now)]
    facts = _facts(grant.agent, grant.resource.identifier, GRANT_REVOKED)
    _end(rows, facts, reason=GRANT_REVOKED, grant=grant.ref, by=by, now=now)


def _withdraw(grant: DelegationGrant, others: Sequence[DelegationGrant], *, by: str, now: datetime) -> None:
    waiting = ApprovalRequest.objects.filter(
        agent=grant.agent, resource=grant.resource.identifier, state__in=WITHDRAWABLE
    )
    for request in waiting.order_by("pk"):
        if not _falls(grant, others, _asked(request), person=request.subject_id, now=now):
            continue
        try:
            cancel(request, by=by, reason=GRANT_REVOKED, now=now)
        except AlreadyDecided:  # a no or an expiry was faster: it has ended anyway
            continue


def _tokens_at(grant: DelegationGrant, *, now: datetime) -> list[AccessToken]:
    live = AccessToken.objects.filter(
        agent=grant.agent, audience=grant.resource.identifier, revoked_at=None, expires__gt=now
    )
    trees.lock(live)
    return list(live.select_related("request", "request__subject").select_for_update(of=("self",), no_key=True))


def _token_falls(grant: DelegationGrant, others: Sequence[DelegationGrant], row: AccessToken, *, now: datetime) -> bool:
    request = row.request
    if request is None:
        return _falls(grant, others, _carried(row), person=None, now=now)
    if request.subject_signed is None and row.subject_ref == request.subject.ref:
        # It speaks for the person only by a grant of theirs (design: the subject).
        others = [other for other in others if other.from_person_id == request.subject_id]
    return _falls(grant, others, _asked(request), person=request.subject_id, now=now)


def _falls(
    grant: DelegationGrant,
    others: Iterable[DelegationGrant],
    items: Collection[Item] | None,
    *,
    person: int | None,
    now: datetime,
) -> bool:
    """Return whether the grant let the agent do one of these and no other does. Pure.

    items: None where nobody can say any more what they were. person: whose grants count, with the organisation's;
    None: anybody's.
    """
    if items is None:
        return True
    if person is not None and grant.from_person_id not in (person, None):
        return False
    counting = [other for other in others if person is None or other.from_person_id in (person, None)]
    return any(
        # As of when it was given: what it has let happen does not depend on whether it has run out since.
        queries.covering([grant], actions=(item.action,), types=(item.detail_type,), now=grant.given_at)
        and not queries.covering(counting, actions=(item.action,), types=(item.detail_type,), now=now)
        for item in items
    )


def _asked(request: ApprovalRequest) -> set[Item]:
    return {Item(kept["action"], kept["detail_type"]) for kept in request.facts}


def _carried(row: AccessToken) -> set[Item] | None:
    """Return what a token carries that nobody was asked for; None if the registry does not know it any more."""
    details = json.dumps(row.authorization_details) if row.authorization_details else None
    try:
        target = read_target(resources=(row.audience,), scope=row.scope, details=details)
    except OAuthError:
        return None
    return {Item(item.action.name, str((item.detail or {}).get("type", ""))) for item in target.wanted}


def _end(rows: Sequence[AccessToken], facts: Facts, *, reason: str, grant: str | None, by: str, now: datetime) -> int:
    if not rows:
        return 0
    rows = [*rows, *trees.below(rows, now=now)]  # what was exchanged for them ends with them
    AccessToken.objects.filter(pk__in=[row.pk for row in rows]).update(revoked_at=now)
    jtis = [str(row.jti) for row in rows[:JTIS_MAX]]
    record(TokensEnded(reason=reason, grant=grant, count=len(rows), jtis=jtis), by=by, facts=facts)
    return len(rows)


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
