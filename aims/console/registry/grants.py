"""Pages about grants: the list, giving one in two steps, taking one back; and what agents may do for me."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from aims.authorization.models import DelegationGrant
from aims.authorization.services.grants import GiveGrant, give_grant, revoke_grant
from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import put
from aims.console.registry.grant_forms import PlaceForm, TermsForm, agents_for
from aims.console.registry.listing import SearchForm, listed
from aims.console.templatetags import words
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, signed_in
from aims.people.models import User

STATES = [("in_force", gettext_lazy("In force")), ("ended", gettext_lazy("Ended or taken back"))]
MINE_MAX = 50  # agents, and grants, on the page that shows what agents may do for me


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A grant as a page shows it. state: in_force, revoked or expired."""

    grant: DelegationGrant
    state: str
    question: Question | None


@dataclass(frozen=True, kw_only=True)
class Mine:
    """An agent that may do something for a person, or that they answer for."""

    agent: Agent
    is_owner: bool
    grants: list[Shown] = field(default_factory=list)


@require_safe
@signed_in
def grant_list(request: HttpRequest) -> HttpResponse:
    """Show grants, the newest first: all of them to admins and auditors, to others what they gave and their agents'."""
    person, now = person_of(request), clock.now()
    form = SearchForm(request.GET, states=STATES)
    rows = _visible_to(person)
    rows = _like(rows, **form.wanted(), now=now) if form.is_valid() else rows.none()
    page = listed(request, rows, by=("-pk",))
    grants = [_shown(grant, person, now=now, back=reverse("grants")) for grant in page.rows]
    shown = {
        "page": page,
        "form": form,
        "grants": grants,
        "questions": [row.question for row in grants if row.question],
        "may_give": agents_for(person).exists(),
        "sees_all": person.has_role("admin") or person.has_role("auditor"),
    }
    return render(request, "grants/list.html", shown)


@require_safe
@signed_in
def my_agents(request: HttpRequest) -> HttpResponse:
    """Show which agents may do what for this person, and those that they answer for."""
    person, now = person_of(request), clock.now()
    live = _live(now).filter(Q(from_person=person) | Q(from_person=None, agent__owner=person))
    grants = list(live.order_by("agent__name", "until_at", "pk")[: MINE_MAX + 1])
    owned = list(Agent.objects.filter(owner=person).exclude(state="retired").order_by("name", "pk")[: MINE_MAX + 1])
    found = {agent.pk: Mine(agent=agent, is_owner=True) for agent in owned[:MINE_MAX]}
    for grant in grants[:MINE_MAX]:
        mine = found.setdefault(grant.agent_id, Mine(agent=grant.agent, is_owner=grant.agent.owner_id == person.pk))
        mine.grants.append(_shown(grant, person, now=now, back=reverse("my-agents")))
    questions = [row.question for mine in found.values() for row in mine.grants if row.question]
    shown = {
        "agents": list(found.values()),
        "questions": questions,
        "may_give": agents_for(person).exists(),
        "is_cut": max(len(grants), len(owned)) > MINE_MAX,
    }
    return render(request, "grants/mine.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def give(request: HttpRequest) -> HttpResponse:
    """Give a grant: first to whom and where, then what and until when."""
    person = person_of(request)
    if not agents_for(person).exists():
        raise PermissionDenied
    place = PlaceForm(request.GET if "resource" in request.GET else None, person=person, initial=request.GET.dict())
    if not place.is_valid():
        return render(request, "grants/place.html", {"form": place}, status=422 if place.errors else 200)
    agent, resource = place.cleaned_data["agent"], place.cleaned_data["resource"]
    form = TermsForm(request.POST or None, person=person, resource=resource)
    if form.is_valid():
        terms = GiveGrant(agent=agent, resource=resource, **form.terms())
        try:
            give_grant(terms, by=person.ref, now=clock.now())
        except AimsError as error:
            put(form, error)
        else:
            said = _("Given. %(agent)s may act at %(resource)s until %(until)s.")
            until = words.stamp(terms.until_at)
            messages.success(request, said % {"agent": agent.name, "resource": resource.name, "until": until})
            return redirect("my-agents" if terms.from_person else "grants")
    shown = {"form": form, "agent": agent, "resource": resource, "again": urlencode({"agent": agent.ref})}
    return render(request, "grants/give.html", shown, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def revoke(request: HttpRequest, ref: str) -> HttpResponse:
    """Take a grant back: its giver, or an admin."""
    person = person_of(request)
    grant: DelegationGrant = get_object_or_404(_visible_to(person), ref=ref)
    if not _may_revoke(person, grant):
        raise PermissionDenied

    def act(reason: str) -> str:
        revoke_grant(grant, by=person.ref, now=clock.now())
        return _("Taken back. %(agent)s may no longer do this at %(resource)s.") % {
            "agent": grant.agent.name,
            "resource": grant.resource.name,
        }

    back = reverse("my-agents" if grant.from_person_id == person.pk else "grants")
    return ask(request, _question(grant, back=back), act=act)


def _visible_to(person: User) -> QuerySet[DelegationGrant]:
    rows = DelegationGrant.objects.select_related("agent", "resource", "from_person")
    if person.has_role("admin") or person.has_role("auditor"):
        return rows
    return rows.filter(Q(from_person=person) | Q(agent__owner=person))


def _live(now: datetime) -> QuerySet[DelegationGrant]:
    live = DelegationGrant.objects.filter(revoked_at=None, until_at__gt=now)
    return live.select_related("agent", "resource", "from_person")


def _like(grants: QuerySet[DelegationGrant], *, text: str, state: str, now: datetime) -> QuerySet[DelegationGrant]:
    if text:
        found = Q(mission__icontains=text) | Q(from_person__name__icontains=text)
        for name in ("agent__name", "agent__identifier", "resource__name", "resource__identifier"):
            found |= Q(**{f"{name}__icontains": text})
        grants = grants.filter(found)
    over = Q(revoked_at__isnull=False) | Q(until_at__lte=now)
    return grants.filter({"in_force": ~over, "ended": over}.get(state, Q()))


def _may_revoke(person: User, grant: DelegationGrant) -> bool:
    return grant.from_person_id == person.pk or person.has_role("admin")


def _shown(grant: DelegationGrant, person: User, *, now: datetime, back: str) -> Shown:
    state = "revoked" if grant.revoked_at else "in_force" if grant.until_at > now else "expired"
    is_open = state == "in_force" and _may_revoke(person, grant)
    return Shown(grant=grant, state=state, question=_question(grant, back=back) if is_open else None)


def _question(grant: DelegationGrant, *, back: str) -> Question:
    names = {"agent": grant.agent.name, "resource": grant.resource.name}
    return Question(
        id=f"revoke-{grant.ref}",
        href=reverse("grant-revoke", args=[grant.ref]),
        back=back,
        button=_("Take back"),
        title=_("Take this back from %(agent)s?") % names,
        text=_("Tokens and requests that only this grant allowed end now. At %(resource)s it may no longer:") % names,
        points=tuple(grant.actions),
        confirm=_("Take back"),
    )
