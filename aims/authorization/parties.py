"""Who took part in a transaction: to whom, through whom and for what its tokens were issued. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aims.authorization.models import AccessToken, ApprovalRequest, TokenKind

TOKENS_MAX = 200  # of one transaction, the oldest
DEPTH_MAX = 32  # of nested ``act``


@dataclass(frozen=True, kw_only=True)
class Parties:
    """agents, resources: identifiers. subject: a person's ref, None where there is none. tokens: jtis."""

    agents: frozenset[str]
    resources: frozenset[str]
    subject: str | None
    tokens: frozenset[str]


def parties_of(txn: str) -> Parties:
    """Return who took part in a transaction; nobody where there is none of this name."""
    rows = AccessToken.of_every_kind.filter(txn=txn).select_related("agent").order_by("pk")[:TOKENS_MAX]
    asked = ApprovalRequest.objects.filter(txn=txn).select_related("agent", "subject").order_by("pk")[:TOKENS_MAX]
    agents: set[str] = {request.agent.identifier for request in asked}
    resources: set[str] = set()
    subjects = [str(request.subject.ref) for request in asked]
    for row in rows:
        agents |= {row.agent.identifier} if row.agent else set()
        agents |= set(_actors(row.act))
        resources |= {row.audience} if row.kind == TokenKind.ACCESS else set()
        subjects += [row.subject_ref] if row.subject_ref else []
    return Parties(
        agents=frozenset(agents),
        resources=frozenset(resources),
        subject=subjects[0] if subjects else None,
        tokens=frozenset(str(row.jti) for row in rows),
    )


def _actors(act: Any) -> Iterator[str]:
    """Yield the identifiers of ``act``, outermost first. Spec: RFC 8693 §4.1."""
    for _ in range(DEPTH_MAX):
        if not isinstance(act, dict) or not isinstance(act.get("sub"), str):
            return
        yield act["sub"]
        act = act.get("act")
