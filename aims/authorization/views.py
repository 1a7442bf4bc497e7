"""Pages for people: stopping agents, and the grants one can see and take back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from aims.authorization import queries
from aims.authorization.models import DelegationGrant
from aims.authorization.services import agents, grants
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role, signed_in
from aims.people.models import Role, User

REASON_MAX = 400


@require_POST
@signed_in
def suspend(request: HttpRequest, ref: str) -> HttpResponse:
    """Suspend an agent."""
    return _act(request, ref, agents.suspend_agent, _("Suspended. What it waited for is withdrawn."))


@require_POST
@signed_in
def resume(request: HttpRequest, ref: str) -> HttpResponse:
    """Let an agent act again."""
    return _act(request, ref, agents.resume_agent, _("It may act again."))


@require_POST
@signed_in
def retire(request: HttpRequest, ref: str) -> HttpResponse:
    """Retire an agent for ever."""
    return _act(request, ref, agents.retire_agent, _("Retired. Its identifier stays taken."))


@require_POST
@signed_in
def stop(request: HttpRequest, ref: str) -> HttpResponse:
    """Stop everything an agent does."""
    return _act(request, ref, agents.stop_everything, _("Stopped. Tokens, grants and requests have ended."))


@require_GET
@requires_role(Role.ADMIN)
def grant_list(request: HttpRequest) -> HttpResponse:
    """Show every grant that counts now."""
    found = queries.live_grants(now=clock.now()).order_by("until_at", "pk")[: queries.LIST_MAX]
    return render(request, "grants/list.html", {"grants": found, "is_mine": False})


@require_GET
@signed_in
def my_agents(request: HttpRequest) -> HttpResponse:
    """Show what this person lets agents do."""
    found = queries.live_grants(now=clock.now()).filter(from_person=person_of(request))
    return render(request, "grants/list.html", {"grants": found.order_by("until_at", "pk"), "is_mine": True})


@require_POST
@signed_in
def revoke_grant(request: HttpRequest, ref: str) -> HttpResponse:
    """Take a grant back: its giver, or an admin."""
    grant = get_object_or_404(DelegationGrant.objects.select_related("agent", "resource", "from_person"), ref=ref)
    person = person_of(request)
    if grant.from_person_id != person.pk and not person.has_role(Role.ADMIN):
        raise PermissionDenied
    try:
        grants.revoke_grant(grant, by=person.ref, now=clock.now())
        messages.success(request, _("Taken back. It counts from now on."))
    except AimsError as error:
        messages.error(request, _(error.public))
    return redirect("my-agents" if grant.from_person_id == person.pk else "grants")


def _act(request: HttpRequest, ref: str, verb: Callable[..., None], done: str) -> HttpResponse:
    agent = get_object_or_404(Agent.objects.select_related("owner"), ref=ref)
    person = person_of(request)
    _guard(agent, person)
    now: datetime = clock.now()
    try:
        verb(agent, reason=request.POST.get("reason", "")[:REASON_MAX], by=person.ref, now=now)
        messages.success(request, done)
    except AimsError as error:
        messages.error(request, _(error.public))
    return redirect(f"/agents/{agent.ref}/")


def _guard(agent: Agent, person: User) -> None:
    """Only who answers for an agent, and admins, may stop or resume it."""
    if agent.owner_id != person.pk and not person.has_role(Role.ADMIN):
        raise PermissionDenied
