"""Pages that list grants: everybody's for who may see them, and what agents may do for me."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from aims.authorization.models import ApprovalRequest, DelegationGrant
from aims.authorization.queries import NOTICE_BEFORE, live_grants
from aims.console.registry.grant_forms import agents_for
from aims.console.registry.grant_words import Shown, shown
from aims.console.registry.listing import SearchForm, listed
from aims.console.registry.rights import is_cut, may_end, reads_log, sees_all, visible_to
from aims.identifier.models import Agent
from aims.kit import clock
from aims.people.access import person_of, signed_in
from aims.people.models import User

STATES = [
    ("in_force", _("In force")),
    ("ends_soon", _("Ends within 3 days")),
    ("scheduled", _("Not begun")),
    ("ended", _("Ended or taken back")),
]
REF_MAX = 40
MINE_MAX = 50  # agents, and grants, on the page that shows what agents may do for me
ASKED_MAX = 3  # newest requests of an agent there


class GrantSearchForm(SearchForm):
    """What to look for among the grants. agent, person, resource: by reference, as links fill them in."""

    agent = forms.CharField(required=False, max_length=REF_MAX, widget=forms.HiddenInput)
    person = forms.CharField(required=False, max_length=REF_MAX, widget=forms.HiddenInput)
    resource = forms.CharField(required=False, max_length=REF_MAX, widget=forms.HiddenInput)

    def chosen(self) -> Q:
        """Return what the references leave over."""
        fields = {"agent": "agent__ref", "person": "from_person__ref", "resource": "resource__ref"}
        return Q(**{path: ref for name, path in fields.items() if (ref := self.cleaned_data[name])})


@dataclass(frozen=True, kw_only=True)
class Chip:
    """Something that the list is held to. without: the address of the list that is not."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, kw_only=True)
class Mine:
    """An agent that may do something for a person, or that they answer for. asked: its newest requests."""

    agent: Agent
    is_owner: bool
    grants: list[Shown] = field(default_factory=list)
    asked: list[ApprovalRequest] = field(default_factory=list)

    @property
    def used_at(self) -> datetime | None:
        """When it last used one of these grants."""
        return max((row.used_at for row in self.grants if row.used_at), default=None)


@require_safe
@signed_in
def grant_list(request: HttpRequest) -> HttpResponse:
    """Show grants, the newest first: all of them to admins and auditors, to others what concerns them."""
    person, now = person_of(request), clock.now()
    form = GrantSearchForm(request.GET, states=STATES)
    rows = visible_to(person)
    rows = _like(rows.filter(form.chosen()), **form.wanted(), now=now) if form.is_valid() else rows.none()
    page = listed(request, rows, by=("-pk",))
    context = {
        "page": page,
        "form": form,
        "chips": list(_chips(request, page.rows)),
        "grants": shown(page.rows, now=now),
        "may_give": agents_for(person).exists(),
        "sees_all": sees_all(person),
        "may_ask_who": reads_log(person),
        "is_cut": is_cut(person),
    }
    return render(request, "grants/list.html", context)


@require_safe
@signed_in
def my_agents(request: HttpRequest) -> HttpResponse:
    """Show which agents may do what for this person, and those that they answer for."""
    person, now = person_of(request), clock.now()
    mine = Q(from_person=person) | Q(from_person=None, agent__owner=person)
    rows = live_grants(now=now).select_related("agent__owner", "parent__agent").filter(mine)
    grants = list(rows.order_by("agent__name", "until_at", "pk")[: MINE_MAX + 1])
    owned = list(Agent.objects.filter(owner=person).exclude(state="retired").order_by("name", "pk")[: MINE_MAX + 1])
    found = {agent.pk: Mine(agent=agent, is_owner=True) for agent in owned[:MINE_MAX]}
    mendable = frozenset(grant.pk for grant in grants if may_end(person, grant))
    for row in shown(grants[:MINE_MAX], now=now, can_end=mendable):
        agent = row.grant.agent
        is_owner = agent.owner_id == person.pk
        found.setdefault(agent.pk, Mine(agent=agent, is_owner=is_owner)).grants.append(row)
    for asked in _asked_lately(person, found):
        if len(found[asked.agent_id].asked) < ASKED_MAX:
            found[asked.agent_id].asked.append(asked)
    context = {
        "agents": list(found.values()),
        "ending": [row for each in found.values() for row in each.grants if row.is_ending],
        "may_give": agents_for(person).exists(),
        "is_cut": max(len(grants), len(owned)) > MINE_MAX,
    }
    return render(request, "grants/mine.html", context)


def _asked_lately(person: User, agents: Iterable[int]) -> QuerySet[ApprovalRequest]:
    theirs = Q(subject=person) | Q(agent__owner=person)
    rows = ApprovalRequest.objects.filter(theirs, agent__in=list(agents)).defer("statement", "facts")
    return rows.order_by("-opened_at", "-pk")[: MINE_MAX * ASKED_MAX]


def _like(grants: QuerySet[DelegationGrant], *, text: str, state: str, now: datetime) -> QuerySet[DelegationGrant]:
    if text:
        found = Q(mission__icontains=text) | Q(from_person__name__icontains=text) | Q(ref=text)
        for name in ("agent__name", "agent__identifier", "resource__name", "resource__identifier"):
            found |= Q(**{f"{name}__icontains": text})
        grants = grants.filter(found)
    over = Q(revoked_at__isnull=False) | Q(until_at__lte=now)
    later = Q(starts_at__gt=now)
    states = {
        "in_force": ~over & ~later,
        "ends_soon": ~over & Q(until_at__lte=now + NOTICE_BEFORE),
        "scheduled": ~over & later,
        "ended": over,
    }
    return grants.filter(states.get(state, Q()))


def _chips(request: HttpRequest, grants: Iterable[DelegationGrant]) -> Iterable[Chip]:
    """Yield what the list is held to, with the name that a shown row has for it."""
    first: Any = next(iter(grants), None)
    for name, label in (("agent", _("Agent")), ("person", _("From")), ("resource", _("Resource"))):
        ref = request.GET.get(name, "")
        if not ref:
            continue
        query = request.GET.copy()
        for gone in (name, "after"):
            query.pop(gone, None)
        field = "from_person" if name == "person" else name
        yield Chip(name=str(label), value=getattr(first, field).name if first else ref, without=f"?{query.urlencode()}")
