"""Opening an approval request: limits, policy, who may decide, the statement; one transaction, one entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from aims.authorization import cards, queries
from aims.authorization.asking import Asking, shortest
from aims.authorization.models import ApprovalRequest
from aims.authorization.request_errors import AskDenied, TooManyOpen
from aims.authorization.request_events import RequestOpened
from aims.authorization.services import policy
from aims.authorization.statement import (
    MAX_USES,
    PolicyRef,
    Quorum,
    Statement,
    build,
    parse,
    request_hash,
)
from aims.authorization.states import OPEN
from aims.authorization.wanted import Wanted, hardest
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.ids import new_ref
from aims.kit.nudge import Topic, nudge
from aims.people.models import User
from aims.policy.engine import Deny, PolicyFacts
from audit.write import Facts, record

LIFETIME_S = 300
LIFETIME_MAX_S = 72 * 3600
USE_WITHIN_S = 300
OPEN_MAX_PAIR = 10
OPEN_MAX_AGENT = 50
OPEN_MAX_APPROVER = 200
NEW_MAX_PAIR_PER_MINUTE = 10


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A grant that the subject gives with the yes, to what is asked and nothing else. budget: of ``budget.checked``."""

    until_at: datetime
    budget: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a snapshot that the statement holds; until: NumericDate."""
        return {"until": int(self.until_at.timestamp()), "budget": dict(self.budget)}


@dataclass(frozen=True, kw_only=True)
class OpenRequest:
    """What a door hands in, all of it checked for shape. requested_expiry_s: the agent's wish, None if none.

    binding: as in ``PolicyFacts``. proposed: None where no grant comes with the yes.
    """

    door: str
    agent: Agent
    subject: User
    resource: Resource
    scope: str
    wanted: tuple[Wanted, ...]
    details: tuple[Mapping[str, Any], ...]
    binding_message: str | None
    agent_says: str | None
    requested_expiry_s: int | None
    binding: str
    proposed: Proposed | None = None


def open_request(command: OpenRequest, *, now: datetime) -> ApprovalRequest:
    """Store a request, its statement and its entry, and ring for those who may decide. Call it in a transaction.

    Raises AskDenied (policy, a suspended agent, nobody to ask) and TooManyOpen.
    """
    with transaction.atomic():
        # One opening at a time for an agent: the limits below hold under concurrency.
        agent = Agent.objects.select_for_update(no_key=True).select_related("owner").get(pk=command.agent.pk)
        if agent.state != AgentState.ACTIVE:
            raise AskDenied(detail="agent not active")
        items = _facts(command, agent, now=now)
        asking = _ask(items)
        people = policy.eligible_people(asking, subject=command.subject, owner=agent.owner, moments=(now,))
        if not people:
            raise AskDenied(detail="nobody may decide", policies=asking.policies)
        _guard_limits(agent, people, now=now)
        request = _store(command, agent, items, asking, now=now)
        request.eligible.set(people)
        _record(request, asking, people)
    nudge(Topic.INBOX, to=[person.ref for person in people] + [agent.owner.ref])
    return request


def _facts(command: OpenRequest, agent: Agent, *, now: datetime) -> list[PolicyFacts]:
    place = (agent, command.subject, command.resource)
    if command.proposed is not None:
        under = policy.PROPOSED
        return [policy.facts_under(under, *place, item, binding=command.binding) for item in command.wanted]
    return [policy.facts_for(*place, item, binding=command.binding, now=now) for item in command.wanted]


def _ask(items: Sequence[PolicyFacts]) -> Asking:
    answer = policy.consult(items)
    if isinstance(answer, Deny):
        raise AskDenied(detail="policy", policies=answer.policies)
    if answer.quorum != 1:
        raise AskDenied(detail="quorum is not built yet", policies=answer.policies)
    return answer


def _guard_limits(agent: Agent, people: Sequence[User], *, now: datetime) -> None:
    waiting = ApprovalRequest.objects.filter(state__in=OPEN, expires_at__gt=now)
    if waiting.filter(agent=agent).count() >= OPEN_MAX_AGENT:
        raise TooManyOpen(detail="agent")
    recent = ApprovalRequest.objects.filter(agent=agent, opened_at__gt=now - timedelta(minutes=1))
    for rows, most, what in (
        (waiting.filter(agent=agent), OPEN_MAX_PAIR, "pair"),
        (waiting, OPEN_MAX_APPROVER, "approver"),
        (recent, NEW_MAX_PAIR_PER_MINUTE, "pair in a minute"),
    ):
        counted = rows.filter(eligible__in=people).values("eligible").annotate(n=Count("pk"))
        if any(row["n"] >= most for row in counted):
            raise TooManyOpen(detail=what)


def _store(
    command: OpenRequest,
    agent: Agent,
    items: Sequence[PolicyFacts],
    asking: Asking,
    *,
    now: datetime,
) -> ApprovalRequest:
    statement = _statement(command, agent, asking, now=now)
    raw = build(statement)
    return ApprovalRequest.objects.create(
        ref=statement.request_id,
        txn=new_ref("txn"),
        door=command.door,
        agent=agent,
        subject=command.subject,
        resource=statement.resource,
        scope=statement.scope,
        headline=_shortened(cards.headline_of(statement)),
        reversibility=statement.reversibility,
        statement=raw,
        request_hash=request_hash(raw),
        facts=[item.to_dict() for item in items],
        policy_version=asking.version,
        required=asking.quorum,
        use_within_s=statement.use_within_s,
        opened_at=now,
        expires_at=datetime.fromtimestamp(statement.exp, UTC),  # what is signed, to the second
    )


def _statement(command: OpenRequest, agent: Agent, asking: Asking, *, now: datetime) -> Statement:
    iat = int(now.timestamp())
    lifetime_s = shortest(command.requested_expiry_s or LIFETIME_S, asking.lifetime_s, LIFETIME_MAX_S)
    excluded = queries.people_named(asking.exclude, subject=command.subject, owner=agent.owner, at=now)
    return Statement(
        iss=settings.ISSUER,
        request_id=new_ref("apr"),
        client_id=agent.identifier,
        sub=command.subject.ref,
        scope=command.scope,
        resource=command.resource.identifier,
        authorization_details=command.details,
        binding_message=command.binding_message,
        agent_says=command.agent_says,
        facts=_snapshots(command, agent, now=now),
        reversibility=hardest(command.wanted),
        policy=PolicyRef(
            id="default",
            version=asking.version,
            hash=asking.hash,
            determined_by=asking.policies,
        ),
        quorum=Quorum(
            required=asking.quorum,
            groups=tuple(sorted({name for names in asking.approvers for name in names})),
            distinct_humans=True,
            exclude=tuple(sorted(User.objects.filter(pk__in=excluded).values_list("ref", flat=True))),
        ),
        use_within_s=asking.use_within_s or USE_WITHIN_S,
        max_uses=MAX_USES,
        template=cards.template_ref(command.details),
        iat=iat,
        exp=iat + (lifetime_s or LIFETIME_S),
    )


def _snapshots(command: OpenRequest, agent: Agent, *, now: datetime) -> dict[str, Any]:
    history = queries.history_of(agent, command.subject, now=now)
    actions = dict.fromkeys(replace(item, detail=None) for item in command.wanted)
    return {
        "at": int(now.timestamp()),
        "agent": {
            "name": agent.name,
            "purpose": agent.purpose,
            "owner": agent.owner.ref,
            "contact": agent.contact,
        },
        "subject": {"name": command.subject.name},
        "resource": {"name": command.resource.name},
        "actions": [
            {
                "name": item.action.name,
                "title": item.action.title,
                "reversibility": item.reversibility,
            }
            for item in actions
        ],
        "posture": {"state": policy.POSTURE_UNKNOWN},
        "history": {
            "approved": history.approved,
            "denied": history.denied,
            "days": history.days,
        },
        "mission": _mission(command, agent, now=now),
        "budget": None,
    } | ({"grant": command.proposed.to_dict()} if command.proposed else {})


def _mission(command: OpenRequest, agent: Agent, *, now: datetime) -> str:
    found = queries.grants_covering(
        agent=agent,
        person=command.subject,
        resource=command.resource,
        actions={item.action.name for item in command.wanted},
        types={item.action.detail_type for item in command.wanted if item.detail},
        now=now,
    )
    return found[0].mission if found else ""


def _shortened(text: str) -> str:
    # Only for lists; the card shows every value whole.
    return text if len(text) <= cards.HEADLINE_MAX else text[: cards.HEADLINE_MAX - 1] + "…"


def _record(request: ApprovalRequest, asking: Asking, people: Sequence[User]) -> None:
    event = RequestOpened(
        request=request.ref,
        request_hash=request.request_hash,
        door=request.door,
        reversibility=request.reversibility,
        template_hash=parse(bytes(request.statement)).template.hash,
        policy_version=asking.version,
        policy_hash=asking.hash,
        determined_by=list(asking.policies),
        eligible=[person.ref for person in people],
        expires_at=int(request.expires_at.timestamp()),
    )
    facts = Facts(
        agent=request.agent.identifier,
        subject=request.subject.ref,
        resource=request.resource,
        action=",".join(dict.fromkeys(kept["action"] for kept in request.facts)),
        decision="ask",
        txn=request.txn,
        posture=policy.POSTURE_UNKNOWN,
        remediation=None,
    )
    record(event, by=request.agent.identifier, facts=facts)
