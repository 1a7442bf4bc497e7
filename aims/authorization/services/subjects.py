"""By which name a client knows a person. Spec: OpenID Connect Core 1.0 §8."""

from __future__ import annotations

from aims.authorization.models import PairwiseSubject
from aims.identifier.models import Agent
from aims.people.models import User


def pairwise(person: User, agent: Agent) -> str:
    """Return the ``sub`` of this person at this client, made at its first use and then always the same."""
    row, _is_new = PairwiseSubject.objects.get_or_create(person=person, agent=agent)
    return str(row.sub)


def person_of(sub: str, agent: Agent) -> User | None:
    """Return whom a client means by a ``sub`` that it learned from us; another client's means nobody."""
    row = PairwiseSubject.objects.select_related("person").filter(sub=sub, agent=agent).first()
    return row.person if row else None
