"""Pages for people: the grants one can see and take back. (Agents are stopped on the console's pages.)"""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from aims.authorization import queries
from aims.authorization.models import DelegationGrant
from aims.authorization.services import grants
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role, signed_in
from aims.people.models import Role


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
