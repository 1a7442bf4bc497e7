"""Giving a grant in two steps, and passing one on to another agent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from aims.authorization.models import DelegationGrant
from aims.authorization.queries import state_of
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.authorization.services.metering import lineage_of
from aims.console.registry.forms import put
from aims.console.registry.grant_forms import PlaceForm, RecipientForm, TermsForm, agents_for
from aims.console.registry.grant_words import may, titles_of
from aims.console.registry.rights import may_pass_on, visible_to
from aims.console.templatetags import words
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, signed_in

form_page = require_http_methods(["GET", "HEAD", "POST"])


@form_page
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
    context = {"form": form, "agent": agent, "resource": resource, "again": urlencode({"agent": agent.ref})}
    return _given(request, form, agent, context)


@form_page
@signed_in
def pass_on(request: HttpRequest, ref: str) -> HttpResponse:
    """Pass a grant on: first to which agent, then which part of it."""
    person = person_of(request)
    parent: DelegationGrant = get_object_or_404(visible_to(person), ref=ref)
    if not may_pass_on(person, parent):
        raise PermissionDenied
    if not parent.depth or state_of(parent, now=clock.now()) in ("revoked", "expired"):
        messages.error(request, _("This grant may not be passed on."))
        return redirect("grant", ref=ref)
    passing = [above.agent_id for above in lineage_of(parent)]
    to = RecipientForm(
        request.GET if "agent" in request.GET else None, agents=agents_for(person).exclude(pk__in=passing)
    )
    context: dict[str, Any] = {"parent": parent, "may": may(parent, titles_of([parent]).get(parent.resource_id, {}))}
    if not to.is_valid():
        return render(request, "grants/pass_on.html", context | {"form": to}, status=422 if to.errors else 200)
    agent = to.cleaned_data["agent"]
    form = TermsForm(request.POST or None, person=person, resource=parent.resource, parent=parent)
    context |= {"form": form, "agent": agent, "resource": parent.resource}
    return _given(request, form, agent, context)


def _given(request: HttpRequest, form: TermsForm, agent: Agent, context: dict[str, Any]) -> HttpResponse:
    """Give what the form says and go to the new grant; else show the form with what is wrong."""
    if form.is_valid():
        terms = GiveGrant(agent=agent, resource=context["resource"], **form.terms())
        try:
            grant = give_grant(terms, by=person_of(request).ref, now=clock.now())
        except AimsError as error:
            put(form, error)
        else:
            said = _("Given. %(agent)s may act at %(resource)s until %(until)s.")
            names = {"agent": agent.name, "resource": terms.resource.name, "until": words.stamp(terms.until_at)}
            messages.success(request, said % names)
            return redirect("grant", ref=grant.ref)
    return render(request, "grants/give.html", context, status=422 if form.errors else 200)
