"""Asking the policy about an approval request: when it opens, when it is decided, when it is redeemed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aims.authorization import cards, queries
from aims.authorization.asking import Asking, strictest
from aims.authorization.models import ApprovalRequest, DelegationGrant, PushedRequest
from aims.authorization.wanted import Wanted, harder
from aims.identifier.models import Agent, Resource
from aims.people.models import User
from aims.policy import queries as policies
from aims.policy.engine import Deny, PolicyFacts, evaluate

POSTURE_UNKNOWN = "unknown"  # until attestation exists
PROPOSED = "proposed"  # in place of a grant's ref: the one that the person is asked to give


@dataclass(frozen=True, kw_only=True)
class Around:
    """What stands around a request just now. resource: None where it was retired. grants: that count, longest first."""

    resource: Resource | None
    grants: Sequence[DelegationGrant]


def facts_for(
    agent: Agent, subject: User | None, resource: Resource, item: Wanted, *, binding: str, now: datetime
) -> PolicyFacts:
    """Return the facts about one wanted action as they are now."""
    kind = (item.detail or {}).get("type", "")
    grant = _grant(agent, subject, resource.identifier, item.action.name, kind, now=now)
    return facts_under(grant, agent, subject, resource, item, binding=binding)


def facts_under(
    grant: str | None, agent: Agent, subject: User | None, resource: Resource, item: Wanted, *, binding: str
) -> PolicyFacts:
    """Return the facts about one wanted action that this grant (its ref, or None) covers. Reads nothing."""
    detail = item.detail or {}
    amount = detail.get("instructedAmount") if detail.get("type") == "payment_initiation" else None
    return PolicyFacts(
        agent=agent.identifier,
        agent_state=agent.state,
        owner=agent.owner.ref,
        posture=POSTURE_UNKNOWN,
        subject=subject.ref if subject else None,
        resource=resource.identifier,
        action=item.action.name,
        reversibility=item.reversibility,
        detail_type=item.action.detail_type if item.detail else "",
        grant=grant,
        amount=amount["amount"] if amount else None,
        currency=amount["currency"] if amount else None,
        binding=binding,
    )


def consult(facts: Sequence[PolicyFacts]) -> Asking | Deny:
    """Return what the active policy says about all of these together: the strictest wins."""
    active = policies.active()
    return strictest([evaluate(each, policy=active) for each in facts])


def consult_again(
    request: ApprovalRequest, *, now: datetime, binding: str | None = None, around: Around | None = None
) -> Asking | Deny:
    """Return what the policy of now says about a request that waits or was approved, with the facts of now.

    binding: of the token that is about to be issued; None while there is none: what the request said. around: read
    before, None to read it now.
    """
    bound = {} if binding is None else {"binding": binding}
    here = around or around_of(request, now=now)
    return consult([_refreshed(request, kept | bound, here, now=now) for kept in request.facts])


def around_of(request: ApprovalRequest, *, now: datetime) -> Around:
    """Return what stands around a request at a moment: of the grants, those of its subject and of the organisation."""
    grants = queries.grants_covering(
        agent=request.agent, person=request.subject, resource=request.resource, actions=(), types=(), now=now
    )
    return Around(resource=Resource.objects.filter(identifier=request.resource, retired_at=None).first(), grants=grants)


def is_stricter(asking: Asking, request: ApprovalRequest, *, deciders: Sequence[str], now: datetime) -> bool:
    """Return whether the policy of now asks for more than this request did, or for other people than decided."""
    if asking.quorum > request.required or (asking.use_within_s or request.use_within_s) < request.use_within_s:
        return True
    return not set(deciders) <= {person.ref for person in eligible(asking, request, now=now)}


def eligible(asking: Asking, request: ApprovalRequest, *, now: datetime) -> list[User]:
    """Return who may decide under this answer: named and approver when the request was opened, and still."""
    return eligible_people(
        asking,
        subject=request.subject,
        owner=request.agent.owner,
        moments=(request.opened_at, now),
    )


def eligible_people(asking: Asking, *, subject: User, owner: User, moments: Sequence[datetime]) -> list[User]:
    """Return the people in every set of approvers, at every moment, who hold the role and are not excluded."""
    excluded = queries.people_named(asking.exclude, subject=subject, owner=owner, at=moments[0])
    instants = tuple(dict.fromkeys(moments))
    asked = [
        queries.people_named(names, subject=subject, owner=owner, at=at)
        for at in instants
        for names in asking.approvers
    ]
    named = set.intersection(*asked) - excluded if asked else set()
    return list(queries.approvers(named, at=instants).order_by("ref"))


def _refreshed(request: ApprovalRequest, kept: dict[str, Any], around: Around, *, now: datetime) -> PolicyFacts:
    covering = queries.covering(around.grants, actions={kept["action"]}, types={kept["detail_type"]}, now=now)
    fresh = {
        "agent_state": request.agent.state,
        "owner": request.agent.owner.ref,
        "reversibility": _reversibility_now(kept, around.resource),
        "grant": _proposed(request, kept) or (covering[0].ref if covering else None),
    }
    return PolicyFacts.from_dict(kept | fresh)


def _proposed(request: ApprovalRequest, kept: dict[str, Any]) -> str | None:
    """Return that the grant will be given with the yes, as long as its person may still come back for it."""
    is_waiting = kept["grant"] == PROPOSED and PushedRequest.objects.filter(approval=request).exists()
    return PROPOSED if is_waiting else None


def _reversibility_now(kept: dict[str, Any], resource: Resource | None) -> str:
    action = resource and resource.actions.filter(name=kept["action"]).first()
    if not action:
        return "irreversible"  # gone from the registry: the hardest, until somebody says otherwise
    is_worded = not kept["detail_type"] or cards.is_typed(kept["detail_type"])
    return action.reversibility if is_worded else harder(action.reversibility)


def _grant(
    agent: Agent,
    subject: User | None,
    resource: str,
    action: str,
    detail_type: str,
    *,
    now: datetime,
) -> str | None:
    found = queries.grants_covering(
        agent=agent,
        person=subject,
        resource=resource,
        actions={action},
        types={detail_type},
        now=now,
    )
    return found[0].ref if found else None
