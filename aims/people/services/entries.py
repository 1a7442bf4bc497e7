"""The mandatory facts of an entry about a person."""

from __future__ import annotations

from aims.people.models import User
from audit.write import Facts


def about(person: User | None, *, remediation: str | None = None) -> Facts:
    """Return the facts of an entry that concerns a person and no agent."""
    return Facts(
        agent=None,
        subject=person.ref if person else None,
        resource=None,
        action=None,
        decision="not_applicable",
        txn=None,
        posture="unknown",
        remediation=remediation,
    )
