"""Questions about approval requests and grants. Nothing here writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from aims.authorization.models import Application, ApprovalRequest, DelegationGrant, PushedRequest
from aims.authorization.states import OPEN, RequestState
from aims.authorization.tokens import LIFETIME_MAX_S
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.kit.ids import digest
from aims.people.models import Role, RoleHolding, User
from audit.read import scope_of

LIST_MAX = 200
CIBA = "urn:openid:params:grant-type:ciba"
OF_AGREEMENTS = frozenset({"authorization_code", "refresh_token"})  # what goes on from a person's agreement
AGENT_GRANTS = ["client_credentials", CIBA]
TOKEN_LIFETIME_MAX = timedelta(seconds=LIFETIME_MAX_S)
NOTICE_BEFORE = timedelta(days=3)  # of a grant's end, or the last quarter of its life if that is shorter
NOTICE_LEAST = timedelta(hours=1)  # a grant that lives no longer ends without notice: nobody could act on it
DECIDED = [RequestState.APPROVED, RequestState.REDEEMED, RequestState.DENIED]


@dataclass(frozen=True)
class History:
    """What became of an agent's earlier requests. days: how many days back we looked."""

    approved: int
    denied: int
    days: int


def inbox_of(person: User, *, limit: int = 50) -> list[ApprovalRequest]:
    """Return what waits for this person, what ends first on top. At most ``limit``."""
    waiting = _waiting(person).select_related("agent", "subject", "agent__owner")
    return list(waiting.order_by("expires_at", "pk")[: min(limit, LIST_MAX)])


def waiting_count(person: User) -> int:
    """Return how many requests wait for this person."""
    return _waiting(person).count()


def decided_today(person: User, *, limit: int = 50) -> list[ApprovalRequest]:
    """Return what this person could decide and that ended in the last 24 hours, newest first."""
    since = clock.now() - timedelta(days=1)
    ended = ApprovalRequest.objects.filter(eligible=person).exclude(state__in=OPEN)
    ended = ended.filter(Q(decided_at__gte=since) | Q(decided_at=None, expires_at__gte=since))
    return list(ended.select_related("agent", "subject").order_by("-decided_at", "-pk")[: min(limit, LIST_MAX)])


def request_for(person: User, ref: str) -> ApprovalRequest | None:
    """Return a request that this person may see: one they may or could decide, asked for, answer for, or audit."""
    found = ApprovalRequest.objects.filter(ref=ref).select_related("agent", "subject", "agent__owner")
    return requests_visible_to(person, found).first()


def seen_among(person: User, requests: Iterable[ApprovalRequest]) -> set[int]:
    """Return the primary keys of those of these requests that this person may see, as ``request_for`` has it."""
    these = ApprovalRequest.objects.filter(pk__in=[request.pk for request in requests])
    return set(requests_visible_to(person, these).values_list("pk", flat=True))


def requests_visible_to(person: User, requests: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
    """Return those of these requests that a person may see: theirs, and those that their seat before the log opens."""
    scope = scope_of(person)
    if scope.is_whole:
        return requests
    opened = scope.condition(at="opened_at", agent="agent__identifier")
    return requests.filter(Q(eligible=person) | Q(subject=person) | Q(agent__owner=person) | opened).distinct()


def may_decide(person: User, request: ApprovalRequest) -> bool:
    """Return whether this person was named when the request was opened and is still an approver."""
    return request.eligible.filter(pk=person.pk).exists() and approvers({person.pk}, at=[clock.now()]).exists()


def requests_of(agent: Agent, *, limit: int = 50) -> list[ApprovalRequest]:
    """Return an agent's requests, newest first."""
    found = agent.approval_requests.select_related("subject").order_by("-opened_at", "-pk")
    return list(found[: min(limit, LIST_MAX)])


def waiting_of_owner(owner: User, *, limit: int = 50) -> list[ApprovalRequest]:
    """Return what this owner's agents wait for, oldest first."""
    waiting = ApprovalRequest.objects.filter(agent__owner=owner, state__in=OPEN, expires_at__gt=clock.now())
    return list(waiting.select_related("agent", "subject").order_by("opened_at")[: min(limit, LIST_MAX)])


def approvers(among: Iterable[int], *, at: Collection[datetime]) -> QuerySet[User]:
    """Return those of these people (primary keys) who held the approver role at each moment and are active."""
    found = User.objects.filter(pk__in=list(among), is_active=True)
    for moment in at:
        since = RoleHolding.objects.filter(person=OuterRef("pk"), role=Role.APPROVER, since_at__lte=moment)
        found = found.filter(Exists(since.filter(Q(until_at=None) | Q(until_at__gt=moment))))
    return found


def people_named(names: Collection[str], *, subject: User, owner: User, at: datetime) -> set[int]:
    """Return the primary keys of whom a policy names: ``subject``, ``owner``, ``group:<slug>``, as of a moment."""
    slugs = [name.removeprefix("group:") for name in names if name.startswith("group:")]
    found = {subject.pk} if "subject" in names else set()
    found |= {owner.pk} if "owner" in names else set()
    if slugs:
        member = Q(memberships__group__slug__in=slugs, memberships__since_at__lte=at)
        still = Q(memberships__until_at=None) | Q(memberships__until_at__gt=at)
        found |= set(User.objects.filter(member & still).values_list("pk", flat=True))
    return found


def related_person(agent: Agent, person_pk: int, *, at: datetime) -> User | None:
    """Return the person if this agent may name them: its owner, who gave it a grant, a member of its groups.

    One query whatever the answer, so that unknown and unrelated people cost the same (design: no user oracle).
    """
    given = Q(
        given_grants__agent=agent,
        given_grants__revoked_at=None,
        given_grants__until_at__gt=at,
    )
    member = Q(memberships__group__related_agents=agent, memberships__since_at__lte=at) & (
        Q(memberships__until_at=None) | Q(memberships__until_at__gt=at)
    )
    return User.objects.filter(Q(owned_agents=agent) | given | member, pk=person_pk, is_active=True).distinct().first()


def grants_covering(
    *,
    agent: Agent,
    person: User | None,
    resource: Resource | str,
    actions: Collection[str],
    types: Collection[str],
    now: datetime,
) -> list[DelegationGrant]:
    """Return the grants that let this agent do all these actions with these detail types, longest first.

    person: on whose behalf; grants of theirs and of the organisation count. None: the agent's own behalf, any giver's.
    """
    identifier = resource if isinstance(resource, str) else resource.identifier
    grants = grants_at(agent, identifier, now=now)
    if person is not None:
        grants = [grant for grant in grants if grant.from_person_id in (person.pk, None)]
    return covering(grants, actions=actions, types=types, now=now)


def grants_at(agent: Agent, resource: str, *, now: datetime) -> list[DelegationGrant]:
    """Return an agent's grants at a resource that count now, longest first."""
    live = DelegationGrant.objects.filter(
        agent=agent, resource__identifier=resource, revoked_at=None, given_at__lte=now, until_at__gt=now
    )
    has_begun = Q(starts_at=None) | Q(starts_at__lte=now)
    return list(live.filter(has_begun).select_related("from_person").order_by("-until_at", "pk"))


def state_of(grant: DelegationGrant, *, now: datetime) -> str:
    """Return how a grant stands: revoked, expired, scheduled (it has not begun) or in_force."""
    if grant.revoked_at is not None:
        return "revoked"
    if grant.until_at <= now:
        return "expired"
    return "scheduled" if grant.starts_at is not None and grant.starts_at > now else "in_force"


def ends_soon(grant: DelegationGrant, *, now: datetime) -> bool:
    """Return whether it is time to tell of a grant's end. Pure."""
    lasts = grant.until_at - (grant.starts_at or grant.given_at)
    if grant.revoked_at is not None or lasts <= NOTICE_LEAST:
        return False
    return grant.until_at - min(NOTICE_BEFORE, lasts / 4) <= now < grant.until_at


def covering(
    grants: Iterable[DelegationGrant], *, actions: Collection[str], types: Collection[str], now: datetime
) -> list[DelegationGrant]:
    """Return those of the grants that have not ended and cover all these actions and detail types. Pure."""
    wanted, kinds = set(actions), {kind for kind in types if kind}
    return [
        grant
        for grant in grants
        if grant.until_at > now and wanted <= set(grant.actions) and kinds <= set(grant.detail_types)
    ]


def goes_on_at(request: ApprovalRequest, person: User, *, session_key: str) -> str | None:
    """Return where this browser goes on once the decision has fallen: back to the agent that sent it.

    Only the one that came with the question: who signs on their phone must not carry the code away with it.
    """
    waiting = PushedRequest.objects.filter(approval=request, person=person, expires_at__gt=clock.now())
    is_theirs = waiting.filter(session_hash=digest(session_key)).exists()
    return f"/oauth/authorize/go-on/{request.ref}/" if is_theirs else None


def client_of(agent: Agent) -> Application:
    """Return the agent's client registration; an agent that registered nothing may use both grants, and polls."""
    return Application.objects.filter(agent=agent).first() or unregistered(agent)


def unregistered(agent: Agent) -> Application:
    """Return what counts for an agent without a registration."""
    return Application(agent=agent, client_id=agent.identifier, client_secret="", grant_types=AGENT_GRANTS)


def live_grants(*, now: datetime) -> QuerySet[DelegationGrant]:
    """Return the grants that count now."""
    live = DelegationGrant.objects.filter(revoked_at=None, until_at__gt=now)
    return live.select_related("agent", "resource", "from_person")


def history_of(agent: Agent, subject: User, *, now: datetime, days: int = 30) -> History:
    """Return how this person's earlier requests from this agent ended."""
    ended = ApprovalRequest.objects.filter(agent=agent, subject=subject, opened_at__gte=now - timedelta(days=days))
    counts = dict(ended.values_list("state").annotate(Count("pk")))
    yes = counts.get(RequestState.APPROVED, 0) + counts.get(RequestState.REDEEMED, 0)
    return History(approved=yes, denied=counts.get(RequestState.DENIED, 0), days=days)


def _waiting(person: User) -> QuerySet[ApprovalRequest]:
    return ApprovalRequest.objects.filter(eligible=person, state__in=OPEN, expires_at__gt=clock.now())
