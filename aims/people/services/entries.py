"""The mandatory facts of an entry about a person, and the values of theirs that an entry commits to."""

from __future__ import annotations

from dataclasses import replace

from aims.people.errors import ValuesUnavailable
from aims.people.models import User
from audit.write import NOBODY, Event, Facts, Personal, PersonalError, record


def about(person: User | None, *, remediation: str | None = None) -> Facts:
    """Return the facts of an entry that concerns a person and no agent."""
    return replace(NOBODY, subject=person.ref if person else None, remediation=remediation)


def personal(person: User, value: str) -> Personal | None:
    """Return a value of a person for an entry, erasable; None where there is none."""
    return Personal(person.ref, value) if value else None


def record_personal(event: Event, *, by: str, person: User) -> str:
    """Record an event with values of a person, in the caller's transaction. Raises ValuesUnavailable."""
    try:
        return record(event, by=by, facts=about(person))
    except PersonalError as error:
        raise ValuesUnavailable(detail=error.code) from error
