"""Who may read the log, and how they are told of its reports: what the log's schedules ask, since they know nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from smtplib import SMTPException

from django.core.mail import send_mail
from django.utils.translation import override

from aims.authorization.queries import live_grants
from aims.console.management import audience
from aims.identifier.models import Agent, AgentState
from aims.kit import clock
from aims.people.queries import holders_of, person_by_ref
from audit.exports.schedules.readers import Letter, Readers
from audit.read import EVERYTHING, Scope, scope_of

ROLES = ("auditor", "admin")
READING = "read.audit"


def scope(ref: str) -> Scope | None:
    """Return what a person, or an agent by a scope of its own, may read of the log now; None where nothing."""
    if "://" in ref:
        return EVERYTHING if _may_read(ref) else None
    person = person_by_ref(ref)
    if person is None or not person.is_active or not any(map(person.has_role, ROLES)):
        return None
    return scope_of(person)


def people() -> Sequence[tuple[str, str]]:
    """Return ref and name of everybody who may read the log, or some of it, by name."""
    now = clock.now()
    found = {person.ref: person.name for role in ROLES for person in holders_of(role, at=now)}
    return sorted(found.items(), key=lambda each: (each[1].casefold(), each[0]))


def mail(ref: str, write: Callable[[], Letter]) -> None:
    """Write to a person in their language. Raises: OSError where the mail is not taken."""
    person = person_by_ref(ref)
    if person is None:
        return
    with override(person.locale):
        subject, text = write()
    try:
        send_mail(subject, text, None, [person.email])
    except SMTPException as error:
        raise ConnectionError(type(error).__name__) from error


READERS = Readers(scope=scope, people=people, mail=mail)


def _may_read(identifier: str) -> bool:
    agent = Agent.objects.filter(identifier=identifier, state=AgentState.ACTIVE).first()
    held = live_grants(now=clock.now()).filter(agent=agent, resource__identifier=audience()) if agent else ()
    return any(READING in grant.actions for grant in held)
