"""What timelines of the log tell besides the log: who runs a resource, where pages are, what a card showed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aims.authorization import cards
from aims.authorization.chains import recent_transactions
from aims.authorization.models import ApprovalRequest, DelegationGrant, GrantUse
from aims.authorization.queries import request_for
from aims.credentials.queries import published_jwks
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.kit.ids import tagged_hash
from aims.observability.queries import findings
from aims.people.models import User
from approvals.queries import receipts_of, state_at
from audit.canonical import encode
from audit.read import Card, Extras, Incident, Scope

OPERATOR = object()  # whoever has the command line can read the database too


def behind(resources: Collection[str]) -> Mapping[str, str]:
    """Return the agent that runs each of these resources, where one does."""
    rows = Resource.objects.filter(identifier__in=resources, operator__isnull=False).values_list(
        "identifier", "operator__identifier"
    )
    return dict(rows)


def grants(jtis: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return the grants that each token was issued on."""
    found: dict[str, list[str]] = {}
    uses = GrantUse.objects.filter(jti__in=jtis).order_by("pk").values_list("jti", "grant__ref")
    for jti, ref in uses:
        found.setdefault(jti, []).append(ref)
    return found


def links(refs: Collection[str]) -> Mapping[str, str]:
    """Return the pages of approvals, grants, policies, transactions and agents."""
    places = {"apr": "/inbox/", "grt": "/grants/", "txn": "/chains/"}
    found = {ref: f"{places[ref[:3]]}{ref}/" for ref in refs if ref[:3] in places}
    found |= {ref: f"/policies/{ref.removeprefix('policy:')}/" for ref in refs if ref.startswith("policy:")}
    agents = Agent.objects.filter(identifier__in=refs).values_list("identifier", "ref")
    return found | {identifier: f"/agents/{ref}/" for identifier, ref in agents}


def transactions(kind: str, ref: str) -> Sequence[str]:
    """Return the transactions of an approval or a grant."""
    if kind == "approval":
        return list(ApprovalRequest.objects.filter(ref=ref).values_list("txn", flat=True))
    grant = DelegationGrant.objects.filter(ref=ref).first() if kind == "grant" else None
    return recent_transactions(grant) if grant else []


def known_as(kind: str, ref: str) -> str:
    """Return how entries call an agent whose address has its ref; anything else is called what it is."""
    if kind != "agent" or not ref.startswith("agt_"):
        return ref
    return Agent.objects.filter(ref=ref).values_list("identifier", flat=True).first() or ref


def reader(ref: str) -> Any:
    """Return who this is: a person who is active, an operator, or nobody."""
    if ref.startswith("cli:"):
        return OPERATOR
    return User.objects.filter(ref=ref, is_active=True).first()


def card(ref: str, reader: Any) -> Card | None:
    """Return an approval request's card as it was shown, if this reader may see it: from the bytes that were signed."""
    request = _seen(ref, reader)
    if request is None:
        return None
    shown = cards.card(bytes(request.statement))
    return Card(
        request=ref,
        headline=shown.headline,
        pairs=[(row.label, row.value, row.sub) for row in shown.rows],
        details=[tagged_hash(encode(detail)) for detail in shown.statement.authorization_details],
        state=state_at(request, clock.now()),
        decided_at=request.decided_at,
        href=f"/inbox/{ref}/",
    )


def receipts(requests: Collection[str], reader: Any) -> Mapping[str, str]:
    """Return the signed receipts of those requests that this reader may see, by request."""
    return receipts_of([ref for ref in requests if _seen(ref, reader) is not None])


def keys() -> str:
    """Return the keys that sign receipts, as ``/oauth/jwks`` publishes them."""
    return encode(published_jwks()).decode()


def incident(ref: str, scope: Scope) -> Incident | None:
    """Return what a finding is about, if a reader of this part of the log may see it: its story, and what shows it."""
    found = findings(scope).filter(ref=ref).first()
    if found is None:
        return None
    until = found.last_index + 1  # of an agent or a person: what led to it
    names = {"txn": found.txn, "grant": found.grant, "agent": found.agent, "person": found.person}
    kind = next((kind for kind, name in names.items() if name), None)
    story = (kind, str(names[kind]), until if kind in ("agent", "person") else None) if kind else None
    return Incident(story=story, evidence=found.evidence)


def _seen(ref: str, reader: Any) -> ApprovalRequest | None:
    if reader is None:
        return None
    if reader is OPERATOR:
        return ApprovalRequest.objects.filter(ref=ref).first()
    return request_for(reader, ref)


EXTRAS = Extras(
    behind=behind,
    grants=grants,
    links=links,
    transactions=transactions,
    known_as=known_as,
    card=card,
    reader=reader,
    receipts=receipts,
    keys=keys,
    incident=incident,
)
