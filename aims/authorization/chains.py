"""Who acts through whom: the tree of one transaction's tokens, and who could do something. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from aims.authorization.impact import family_of
from aims.authorization.models import DEPTH_MAX, AccessToken, DelegationGrant, GrantUse
from aims.authorization.queries import live_grants
from aims.identifier.models import AgentState, Resource

TOKENS_MAX = 200  # of one transaction, the oldest
PATHS_MAX = 200
RECENT_MAX = 10  # transactions of a grant

# Why a token counts no more. ABOVE: what it was exchanged for counts no more.
ABOVE, RAN_OUT, BY_CLIENT, FAMILY_ENDED = "above", "ran_out", "by_client", "family_ended"
GRANT_REVOKED, GRANT_NARROWED, GRANT_EXPIRED = "grant_revoked", "grant_narrowed", "grant_expired"


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One token of a chain. grants: those it rests on. why: what ended it, empty while it counts. below: exchanged for it."""

    token: AccessToken
    grants: tuple[DelegationGrant, ...]
    why: str
    below: list[Hop] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether it counts."""
        return not self.why

    @property
    def is_break(self) -> bool:
        """Whether the chain was cut here: not above it, and not by the clock."""
        return self.why not in ("", ABOVE, RAN_OUT)

    def walk(self) -> Iterator[Hop]:
        """Yield this hop and all below it, parents first."""
        yield self
        for hop in self.below:
            yield from hop.walk()


@dataclass(frozen=True, kw_only=True)
class Path:
    """A way in which an agent could do something: its own grant first, then those of the agents that it would go through.

    more: how many other sets of grants make the same way.
    """

    grants: tuple[DelegationGrant, ...]
    more: int = 0

    @property
    def agents(self) -> tuple[int, ...]:
        """Whom it goes through, by primary key."""
        return tuple(grant.agent_id for grant in self.grants)

    @property
    def is_open(self) -> bool:
        """Whether every agent on it is active."""
        return all(grant.agent.state == AgentState.ACTIVE for grant in self.grants)


def tree_of(txn: str, *, now: datetime) -> list[Hop]:
    """Return the tokens of a transaction as trees, the first tokens on top."""
    rows = AccessToken.of_every_kind.filter(txn=txn, agent__isnull=False).select_related(
        "agent__owner", "request__subject", "parent", "code"
    )
    tokens = list(rows.order_by("pk")[:TOKENS_MAX])
    used = _used(str(token.jti) for token in tokens)
    hops: dict[int, Hop] = {}
    tops: list[Hop] = []
    for token in tokens:  # by key, so a parent comes before its children
        above = hops.get(token.parent_id) if token.parent_id else None
        grants = tuple(used.get(str(token.jti), ()))
        hop = Hop(token=token, grants=grants, why=_why(token, grants, above, now=now))
        hops[token.pk] = hop
        (above.below if above else tops).append(hop)
    return tops


def recent_transactions(grant: DelegationGrant) -> list[str]:
    """Return the newest transactions in which a grant, or what it was passed on as, was used."""
    family = [each.pk for each in family_of(grant)]
    jtis = GrantUse.objects.filter(grant__in=family).order_by("-pk").values_list("jti", flat=True)[: RECENT_MAX * 5]
    rows = AccessToken.of_every_kind.filter(jti__in=list(jtis)).exclude(txn="").order_by("-pk")
    return list(dict.fromkeys(rows.values_list("txn", flat=True)))[:RECENT_MAX]


def descent_of(grant: DelegationGrant) -> dict[int, list[DelegationGrant]]:
    """Return all that a grant was passed on as, ended ones too, by the primary key of what each is a part of."""
    found: dict[int, list[DelegationGrant]] = {}
    level = [grant.pk]
    for _hop in range(DEPTH_MAX):
        rows = DelegationGrant.objects.filter(parent__in=level).order_by("pk")
        level = []
        for row in rows.select_related("agent", "resource", "from_person")[:PATHS_MAX]:
            assert row.parent_id is not None
            found.setdefault(row.parent_id, []).append(row)
            level.append(row.pk)
    return found


def who_could(resource: Resource, action: str, *, now: datetime) -> list[Path]:
    """Return every way in which an agent could do this, direct ones first: by a grant of its own, or through the agent that runs
    the resource that its grant is for, which may exchange what it is called with (RFC 8693).
    """
    found: list[Path] = []
    level = [Path(grants=(grant,)) for grant in _holding(action, now=now, resources=[resource.pk])]
    for _hop in range(DEPTH_MAX + 1):
        level = _merged(level)
        found += level
        level = list(_callers(level, action, now=now))
    return found[:PATHS_MAX]


def _merged(paths: Iterable[Path]) -> list[Path]:
    """Return one path for each row of agents, that with the first grants."""
    found: dict[tuple[int, ...], Path] = {}
    for path in paths:
        first = found.get(path.agents)
        found[path.agents] = replace(first, more=first.more + 1) if first else path
    return list(found.values())


def _callers(paths: Iterable[Path], action: str, *, now: datetime) -> Iterator[Path]:
    """Yield the paths that are one agent longer: who may call the agent that a path begins with, for the same action."""
    by_agent: dict[int, list[Path]] = {}
    for path in paths:
        by_agent.setdefault(path.grants[0].agent_id, []).append(path)
    runs = Resource.objects.filter(operator__in=by_agent, retired_at=None).values_list("pk", "operator")
    operators: dict[int, int] = {resource: agent for resource, agent in runs if agent is not None}
    for grant in _holding(action, now=now, resources=operators):
        for path in by_agent[operators[grant.resource_id]]:
            if grant.agent_id not in path.agents:
                yield Path(grants=(grant, *path.grants))


def _holding(action: str, *, now: datetime, resources: Iterable[int]) -> list[DelegationGrant]:
    rows = live_grants(now=now).filter(resource__in=list(resources)).exclude(starts_at__gt=now)
    ordered = rows.select_related("parent__agent").order_by("agent__name", "-until_at", "pk")
    return [grant for grant in ordered if action in grant.actions][:PATHS_MAX]


def _used(jtis: Iterable[str]) -> Mapping[str, list[DelegationGrant]]:
    found: dict[str, list[DelegationGrant]] = {}
    uses = GrantUse.objects.filter(jti__in=list(jtis)).select_related(
        "grant__agent", "grant__resource", "grant__from_person", "grant__parent__agent"
    )
    for use in uses.order_by("pk"):
        found.setdefault(use.jti, []).append(use.grant)
    return found


def _why(token: AccessToken, grants: Iterable[DelegationGrant], above: Hop | None, *, now: datetime) -> str:
    """Return what ended a token. What ends together has one moment, which tells the cause. Pure."""
    assert token.agent is not None
    ended_at, state = token.revoked_at, token.agent.state
    if ended_at is not None:
        if above is not None and above.token.revoked_at == ended_at:
            return ABOVE
        for grant in grants:
            moments = ((grant.revoked_at, GRANT_REVOKED), (grant.narrowed_at, GRANT_NARROWED))
            for at, why in (*moments, (grant.expired_at, GRANT_EXPIRED)):
                if at == ended_at:
                    return why
        if state != AgentState.ACTIVE:
            return f"agent_{state}"
        return FAMILY_ENDED if token.code is not None and token.code.ended_at == ended_at else BY_CLIENT
    if token.expires <= now:
        return RAN_OUT
    if state != AgentState.ACTIVE:
        return f"agent_{state}"
    return ABOVE if above is not None and above.why else ""
