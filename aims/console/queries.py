"""Questions that reach across rooms: the start page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from aims.authorization.models import ApprovalRequest
from aims.authorization.queries import NOTICE_BEFORE, ends_soon, inbox_of, live_grants, waiting_count
from aims.authorization.states import OPEN
from aims.console.templatetags import words
from aims.identifier.models import Agent, AgentState
from aims.people.models import Passkey, User
from aims.people.queries import roles_held
from aims.policy.models import PolicyVersion
from audit import read

SHOWN = 6  # rows in a list of the start page
RECENT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that is wrong, and the one place where it is mended."""

    tone: str
    title: str
    text: str
    href: str
    action: str


@dataclass(frozen=True, kw_only=True)
class Home:
    """What one person sees first."""

    headline: str
    waiting: tuple[ApprovalRequest, ...]
    waiting_count: int
    done: tuple[ApprovalRequest, ...]
    agents: tuple[Agent, ...]
    troubles: tuple[Trouble, ...]
    is_auditor: bool
    is_admin: bool
    log_size: int | None


def home_of(person: User, *, now: datetime) -> Home:
    """Return the start page of a person, as far as the roles held now go."""
    roles = roles_held(person, at=now)
    agents = tuple(Agent.objects.filter(owner=person).exclude(state=AgentState.RETIRED).order_by("name")[:SHOWN])
    count = waiting_count(person)
    return Home(
        headline=_headline(person, count),
        waiting=tuple(inbox_of(person, limit=SHOWN)),
        waiting_count=count,
        done=tuple(_done_for(person, now=now)[:SHOWN]),
        agents=agents,
        troubles=tuple(sorted(_troubles(person, agents, is_admin="admin" in roles, now=now), key=_weight)),
        is_auditor="auditor" in roles,
        is_admin="admin" in roles,
        log_size=read.size() if roles & {"auditor", "admin"} else None,
    )


def _done_for(person: User, *, now: datetime) -> QuerySet[ApprovalRequest]:
    mine = ApprovalRequest.objects.filter(agent__owner=person) | ApprovalRequest.objects.filter(subject=person)
    recent = mine.filter(opened_at__gt=now - RECENT).exclude(state__in=OPEN)
    return recent.select_related("agent", "subject").order_by("-opened_at").distinct()


def _troubles(person: User, agents: tuple[Agent, ...], *, is_admin: bool, now: datetime) -> Iterator[Trouble]:
    yield from _passkey_troubles(person, now=now)
    for agent in agents:
        if agent.state == AgentState.SUSPENDED:
            yield Trouble(
                tone="danger",
                title=_("%(name)s is suspended.") % {"name": agent.name},
                text=agent.state_reason,
                href=f"/agents/{agent.ref}/",
                action=_("Look at it"),
            )
    yield from _ending_grants(person, now=now)
    if is_admin:
        yield from _policy_troubles()


def _ending_grants(person: User, *, now: datetime) -> Iterator[Trouble]:
    """Yield the grants that this person gave, or whose agent they answer for, and that end soon."""
    concerned = live_grants(now=now).filter(Q(from_person=person) | Q(agent__owner=person))
    soon = concerned.filter(until_at__lte=now + NOTICE_BEFORE).order_by("until_at", "pk")
    for grant in [grant for grant in soon if ends_soon(grant, now=now)][:SHOWN]:
        names = {"agent": grant.agent.name, "resource": grant.resource.name}
        yield Trouble(
            tone="waiting",
            title=_("What %(agent)s may do at %(resource)s ends soon.") % names,
            text=_("On %(at)s. To let it go on, give it a new grant.") % {"at": words.stamp(grant.until_at)},
            href=reverse("grant", args=[grant.ref]),
            action=_("Look at it"),
        )


def _weight(trouble: Trouble) -> int:
    return ("danger", "waiting", "info").index(trouble.tone)


def _passkey_troubles(person: User, *, now: datetime) -> Iterator[Trouble]:
    keys = list(Passkey.objects.filter(person=person, ended_at=None))
    if len(keys) == 1:
        yield Trouble(
            tone="info",
            title=_("You have one passkey."),
            text=_("If you lose it, an admin has to let you in again, and it takes a day until you can approve."),
            href="/me/",
            action=_("Add a second one"),
        )
    if keys and all(key.usable_from_at > now for key in keys):
        yield Trouble(
            tone="waiting",
            title=_("You can't approve yet."),
            text=_("Your passkey came by recovery. It signs you in now, and may approve a day after it was enrolled."),
            href="/me/",
            action=_("See since when"),
        )


def _policy_troubles() -> Iterator[Trouble]:
    if not PolicyVersion.objects.filter(is_active=True).exists():
        yield Trouble(
            tone="danger",
            title=_("No policy is active."),
            text=_("Everything is denied until one is loaded."),
            href="/policies/",
            action=_("See how"),
        )


def _headline(person: User, waiting: int) -> str:
    if not waiting:
        return _("Nothing waits for you, %(name)s.") % {"name": person.name.split()[0]}
    return ngettext("%(n)d request waits for you.", "%(n)d requests wait for you.", waiting) % {"n": waiting}
