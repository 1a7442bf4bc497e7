"""What dies when a grant is narrowed or taken back: asked before it happens, and again while it does. Nothing here writes."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from aims.authorization import budget, queries
from aims.authorization.errors import OAuthError
from aims.authorization.identity import resource_scope
from aims.authorization.models import (
    DEPTH_MAX,
    AccessToken,
    ApprovalRequest,
    AuthorizationCode,
    DelegationGrant,
    ForeignServer,
    TokenKind,
)
from aims.authorization.services import families, trees
from aims.authorization.states import OPEN, RequestState
from aims.authorization.target import read_target

_ACROSS = (TokenKind.JWT_GRANT, TokenKind.ID_JAG)
_MOMENT = timedelta(microseconds=1)
_WAITING = OPEN | {RequestState.APPROVED}


class Item(NamedTuple):
    """One thing that a token or a request carries. detail_type: empty where scope alone asks for it."""

    action: str
    detail_type: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A grant as it is and as it will be. after: None where it is taken back."""

    before: DelegationGrant
    after: DelegationGrant | None


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What ends. changes: the grant itself first, then those it was passed on as. tokens: with what hangs below them.

    families: the codes whose refresh tokens end, or that can be redeemed no more.
    """

    changes: tuple[Change, ...]
    tokens: tuple[AccessToken, ...]
    requests: tuple[ApprovalRequest, ...]
    families: tuple[AuthorizationCode, ...]

    @property
    def revoked(self) -> list[DelegationGrant]:
        """The grants below that are taken back."""
        return [change.before for change in self.changes[1:] if change.after is None]

    @property
    def narrowed(self) -> list[DelegationGrant]:
        """The grants below that become narrower."""
        return [change.before for change in self.changes[1:] if change.after is not None]


def family_of(grant: DelegationGrant) -> list[DelegationGrant]:
    """Return a grant and all that it was passed on as and that still stands, parents before children."""
    found, level = [grant], [grant]
    for _hop in range(DEPTH_MAX):
        below = DelegationGrant.objects.filter(parent__in=level, revoked_at=None)
        level = list(below.select_related("agent", "resource", "from_person").order_by("pk"))
        found += level
    return found


def revoking(grant: DelegationGrant) -> tuple[Change, ...]:
    """Return what taking a grant back does to it and to all below it."""
    return tuple(Change(before=each, after=None) for each in family_of(grant))


def narrowing(grant: DelegationGrant, **terms: Any) -> tuple[Change, ...]:
    """Return what narrower terms do to a grant and to those below it that exceed them.

    terms: the fields that change, by name; the caller has checked that none is wider.
    """
    changes = [Change(before=grant, after=_with(grant, **terms))]
    after = {grant.pk: changes[0].after}
    for child in family_of(grant)[1:]:
        assert child.parent_id is not None
        after[child.pk] = fitted = _fitted(child, after[child.parent_id])
        if fitted is not child:
            changes.append(Change(before=child, after=fitted))
    return tuple(changes)


def impact_of(changes: Sequence[Change], *, now: datetime) -> Impact:
    """Return what ends with these changes."""
    instead = {change.before.pk: change.after for change in changes}
    tokens: dict[int, AccessToken] = {}
    requests: dict[int, ApprovalRequest] = {}
    fallen: dict[int, AuthorizationCode] = {}
    for change in changes:
        grant = change.before
        at = queries.grants_at(grant.agent, grant.resource.identifier, now=now)
        others = [kept for other in at if (kept := instead.get(other.pk, other)) is not None]
        requests |= {row.pk: row for row in fallen_requests(grant, others, now=now)}
        tokens |= {row.pk: row for row in fallen_tokens(grant, others, tokens_at(grant, now=now), now=now)}
        fallen |= {row.pk: row for row in fallen_families(grant, change.after, now=now)}
    tokens |= {row.pk: row for row in families.tokens_of(fallen, now=now)}
    tokens |= {row.pk: row for row in trees.below(tokens.values(), now=now)}  # what was exchanged for them
    return Impact(
        changes=tuple(changes),
        tokens=tuple(tokens.values()),
        requests=tuple(requests.values()),
        families=tuple(fallen.values()),
    )


def fallen_families(grant: DelegationGrant, after: DelegationGrant | None, *, now: datetime) -> list[AuthorizationCode]:
    """Return the families that stand on this grant and that it does not carry any more. after: None where it ended.

    A family stands on the grant that the person agreed to, and on no other.
    """
    standing = families.live_families(now=now).filter(grant=grant)
    return [code for code in standing if after is None or not _still_carries(after, code, now=now)]


def fallen_requests(
    grant: DelegationGrant, others: Sequence[DelegationGrant], *, now: datetime
) -> Iterator[ApprovalRequest]:
    """Yield the waiting requests that this grant carried and no other does."""
    waiting = ApprovalRequest.objects.filter(
        agent=grant.agent, resource=grant.resource.identifier, state__in=_WAITING
    ).select_related("subject")
    for request in waiting.order_by("pk"):
        if _falls(grant, others, _asked(request), person=request.subject_id, at=now):
            yield request


def tokens_at(grant: DelegationGrant, *, now: datetime) -> QuerySet[AccessToken]:
    """Return the live tokens of a grant's agent at its resource."""
    at = grant.resource.identifier
    # A transaction that its workload began by itself is for the trust domain, and about the resource.
    is_there = Q(audience=at) | Q(kind=TokenKind.TXN, parent=None, resource=[at])
    live = AccessToken.of_every_kind.filter(is_there, agent=grant.agent, revoked_at=None, expires__gt=now)
    return live.select_related("request", "request__subject").order_by("pk")


def fallen_tokens(
    grant: DelegationGrant, others: Sequence[DelegationGrant], rows: Iterable[AccessToken], *, now: datetime
) -> Iterator[AccessToken]:
    """Yield those of these tokens that this grant carried and no other does, to their end."""
    for row in rows:
        if _token_falls(grant, others, row, at=max(now, row.expires - _MOMENT)):
            yield row


def tokens_by(servers: Sequence[ForeignServer], *, now: datetime) -> QuerySet[AccessToken]:
    """Return the live tokens that were issued on the word of these servers, and what was said to them."""
    said_to_them = Q(kind__in=_ACROSS, audience__in=[server.issuer for server in servers])
    return AccessToken.of_every_kind.filter(Q(foreign__in=servers) | said_to_them, revoked_at=None, expires__gt=now)


def ends_with(servers: Sequence[ForeignServer], *, now: datetime) -> Counter[int]:
    """Return how many tokens end with each of these servers, by its key: ``tokens_by``, and what hangs below them."""
    by_issuer = {server.issuer: server.pk for server in servers}
    tops = tokens_by(servers, now=now).order_by()
    found: Counter[int] = Counter()
    for foreign, audience, count in tops.values_list("foreign", "audience").annotate(Count("pk")):
        found[foreign or by_issuer[audience]] += count
    of_root = AccessToken.of_every_kind.filter(jti=OuterRef("root_ref")).values("foreign")[:1]
    trees_of_them = tops.filter(foreign__isnull=False).values("jti")
    live = AccessToken.of_every_kind.filter(revoked_at=None, expires__gt=now, root_ref__in=trees_of_them)
    hanging = live.exclude(pk__in=tops.values("pk")).annotate(server=Subquery(of_root)).order_by()
    for server, count in hanging.values_list("server").annotate(Count("pk")):
        found[server] += count
    return found


def _with(grant: DelegationGrant, **terms: Any) -> DelegationGrant:
    after = copy.copy(grant)
    for name, value in terms.items():
        setattr(after, name, value)
    return after


def _fitted(child: DelegationGrant, parent: DelegationGrant | None) -> DelegationGrant | None:
    """Return a child as its parent's terms let it be: itself if it fits, None if nothing is left. Pure."""
    if parent is None or parent.depth < 1:
        return None
    actions = [name for name in child.actions if name in parent.actions]
    spends = budget.lesser(child.budget, parent.budget)
    if not actions or spends is None:
        return None
    terms = {
        "actions": actions,
        "detail_types": [name for name in child.detail_types if name in parent.detail_types],
        "until_at": min(child.until_at, parent.until_at),
        "depth": min(child.depth, parent.depth - 1),
        "budget": spends,
    }
    if all(getattr(child, name) == value for name, value in terms.items()):
        return child
    return _with(child, **terms)


def _token_falls(grant: DelegationGrant, others: Sequence[DelegationGrant], row: AccessToken, *, at: datetime) -> bool:
    request = row.request
    if request is None:
        return _falls(grant, others, _carried(row), person=None, at=at)
    if request.subject_signed is None and row.subject_ref == request.subject.ref:
        # It speaks for the person only by a grant of theirs (design: the subject).
        others = [other for other in others if other.from_person_id == request.subject_id]
    return _falls(grant, others, _asked(request), person=request.subject_id, at=at)


def _falls(
    grant: DelegationGrant,
    others: Iterable[DelegationGrant],
    items: Collection[Item] | None,
    *,
    person: int | None,
    at: datetime,
) -> bool:
    """Return whether the grant let the agent do one of these and no other does at that moment. Pure.

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
        and not queries.covering(counting, actions=(item.action,), types=(item.detail_type,), now=at)
        for item in items
    )


def _still_carries(grant: DelegationGrant, code: AuthorizationCode, *, now: datetime) -> bool:
    scope, details = " ".join(resource_scope(code.scope)), code.authorization_details
    if not scope and not details:
        return grant.until_at > now
    items = _items(code.resource, scope, details)
    return items is not None and all(
        queries.covering([grant], actions=(item.action,), types=(item.detail_type,), now=now) for item in items
    )


def _asked(request: ApprovalRequest) -> set[Item]:
    return {Item(kept["action"], kept["detail_type"]) for kept in request.facts}


def _carried(row: AccessToken) -> set[Item] | None:
    """Return what a token carries that nobody was asked for; None if the registry does not know it any more."""
    return _items(row.resource, row.scope, row.authorization_details)


def _items(resources: Sequence[str], scope: str, wanted: Sequence[Mapping[str, Any]] | None) -> set[Item] | None:
    details = json.dumps(wanted) if wanted else None
    try:
        target = read_target(resources=resources, scope=scope, details=details)
    except OAuthError:
        return None
    return {Item(item.action.name, str((item.detail or {}).get("type", ""))) for item in target.wanted}
