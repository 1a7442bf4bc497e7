"""Grants that run out by themselves: notice beforehand, once, and the end, once; however many sweeps look."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from smtplib import SMTPException
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from aims.authorization import queries
from aims.authorization.models import DelegationGrant
from aims.authorization.request_events import GrantExpiring
from aims.authorization.services.grants import entry_facts, expire_grant
from aims.kit.nudge import Topic, nudge
from aims.people.models import User
from audit.write import record

log = logging.getLogger(__name__)

SWEEP_MAX = 200  # grants in one sweep; the next finds the others


def expire_due(*, now: datetime) -> int:
    """Record the end of grants that ran out and withdraw what waited on them; return how many this sweep ended."""
    due = DelegationGrant.objects.filter(revoked_at=None, expired_at=None, until_at__lte=now)
    rows = due.select_related("agent__owner", "resource", "from_person").order_by("until_at", "pk")[:SWEEP_MAX]
    return sum(_expire(grant, now=now) for grant in rows)


def warn_due(*, now: datetime) -> int:
    """Tell of grants that end soon, each once; return how many this sweep told of.

    Marked and recorded first, then mailed. A crash in between loses the mail; the pages and the log say it all the same.
    """
    return sum(_warn(grant, now=now) for grant in islice(_ending_soon(now=now), SWEEP_MAX))


def told_of(grant: DelegationGrant) -> list[User]:
    """Return who is told of a grant's end: its giver, and who answers for its agent."""
    giver = grant.from_person or User.objects.filter(ref=grant.given_by).first()
    people = {person.pk: person for person in (giver, grant.agent.owner) if person is not None and person.is_active}
    return list(people.values())


def _ending_soon(*, now: datetime) -> Iterator[DelegationGrant]:
    rows = DelegationGrant.objects.filter(
        revoked_at=None, warned_at=None, until_at__gt=now, until_at__lte=now + queries.NOTICE_BEFORE
    )
    for grant in rows.select_related("agent__owner", "resource", "from_person").order_by("until_at", "pk"):
        if queries.ends_soon(grant, now=now):
            yield grant


def _expire(grant: DelegationGrant, *, now: datetime) -> bool:
    is_ours = expire_grant(grant, now=now)
    if is_ours:
        nudge(Topic.INBOX, to=[person.ref for person in told_of(grant)])
    return is_ours


def _warn(grant: DelegationGrant, *, now: datetime) -> bool:
    with transaction.atomic():
        # Of two sweeps one moves the row. A grant that was narrowed since we looked has another end: not this notice.
        due = DelegationGrant.objects.filter(
            pk=grant.pk, revoked_at=None, warned_at=None, until_at=grant.until_at, narrowed_at=grant.narrowed_at
        )
        if due.update(warned_at=now) != 1:
            return False
        giver = grant.from_person.ref if grant.from_person else None
        event = GrantExpiring(grant=grant.ref, from_person=giver, until=int(grant.until_at.timestamp()))
        record(event, by="system", facts=entry_facts(grant, decision="not_applicable", remediation=None))
        nudge(Topic.INBOX, to=[person.ref for person in told_of(grant)])
    for person in told_of(grant):
        _mail(grant, person)
    return True


def _mail(grant: DelegationGrant, person: User) -> None:
    names = {"agent": grant.agent.name, "resource": grant.resource.name}
    until = grant.until_at.astimezone(ZoneInfo(person.time_zone))
    with override(person.locale):
        subject = _("%(agent)s may act at %(resource)s only for a short time yet") % names
        text = _(
            "The permission ends on %(until)s. Its tokens end then, and what the agent waits for is withdrawn.\n\n"
            "To let it go on, give it a new one. This one stands here:\n%(address)s"
        ) % {"until": until.strftime("%Y-%m-%d %H:%M %Z"), "address": f"{settings.ISSUER}/grants/{grant.ref}/"}
    try:
        send_mail(" ".join(subject.split()), text, None, [person.email])
    except (SMTPException, OSError) as trouble:  # the next person is told all the same
        log.warning("no notice of the end of %s was mailed: %r", grant.ref, trouble)
