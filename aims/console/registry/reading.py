"""Pages that only read: agents, resources, policies."""

from __future__ import annotations

import difflib

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from aims.console.registry.stack import stack_of
from aims.identifier.models import Resource
from aims.identifier.queries import agents_visible_to
from aims.kit import clock
from aims.people.access import person_of, requires_role, signed_in
from aims.policy import engine
from aims.policy.models import PolicyVersion

PAGE_SIZE = 50


@signed_in
def agent_list(request: HttpRequest) -> HttpResponse:
    """Show the agents that this person may see, by name."""
    rows = agents_visible_to(person_of(request)).order_by("name", "pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "agents/list.html", {"page": page, "may_register": person_of(request).has_role("admin")})


@signed_in
def agent_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show one agent as its stack; who may not see it can't tell it from one that is not there."""
    person = person_of(request)
    agent = get_object_or_404(agents_visible_to(person), ref=ref)
    may_act = agent.state != "retired" and (person.has_role("admin") or agent.owner_id == person.pk)
    context = {"agent": agent, "layers": stack_of(agent, now=clock.now()), "may_act": may_act}
    return render(request, "agents/detail.html", context | {"may_retire": may_act and person.has_role("admin")})


@signed_in
def resource_list(request: HttpRequest) -> HttpResponse:
    """Show the resources, those in use first."""
    rows = Resource.objects.prefetch_related("actions").order_by("retired_at", "name", "pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "resources/list.html", {"page": page})


@signed_in
def resource_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show a resource with everything that can be done there."""
    resource = get_object_or_404(Resource, ref=ref)
    return render(
        request, "resources/detail.html", {"resource": resource, "actions": resource.actions.order_by("name")}
    )


@requires_role("admin", "auditor", "owner", "approver")
def policy_list(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Show one version of the policy, by default the active one: its rules in words, its text, what changed."""
    versions = list(PolicyVersion.objects.order_by("-number")[:PAGE_SIZE])
    shown = _version(number)
    context: dict[str, object] = {"versions": versions, "shown": shown}
    if shown is not None:
        compiled = engine.compile(shown.text, version=shown.number)
        context |= {"rules": list(compiled.rules.values()), "diff": _diff(shown)}
    return render(request, "policies/list.html", context)


def _version(number: int | None) -> PolicyVersion | None:
    if number is None:
        return PolicyVersion.objects.filter(is_active=True).first()
    version = PolicyVersion.objects.filter(number=number).first()
    if version is None:
        raise Http404
    return version


def _diff(version: PolicyVersion) -> str:
    """Return what this version changed against the one before it, as a unified diff."""
    before = PolicyVersion.objects.filter(number__lt=version.number).order_by("-number").first()
    if before is None:
        return ""
    names = (f"version {before.number}", f"version {version.number}")
    return "\n".join(difflib.unified_diff(before.text.splitlines(), version.text.splitlines(), *names, lineterm=""))
