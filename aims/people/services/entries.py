"""The mandatory facts of an entry about a person."""

from __future__ import annotations

from dataclasses import replace

from aims.people.models import User
from audit.write import NOBODY, Facts


def about(person: User | None, *, remediation: str | None = None) -> Facts:
    """Return the facts of an entry that concerns a person and no agent."""
    return replace(NOBODY, subject=person.ref if person else None, remediation=remediation)
