"""Pages about resources: the list, one with its actions, and what changes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.forms import BaseFormSet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from aims.authorization.models import DelegationGrant
from aims.console import registering
from aims.console.registry.agents import saved
from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import (
    ActionForm,
    ChangedResourceForm,
    NewResourceForm,
    ResourceForm,
    action_lines,
    keys_of,
    put,
    specs_of,
)
from aims.console.registry.listing import SearchForm, listed
from aims.credentials import queries as keys
from aims.identifier.models import Resource
from aims.identifier.queries import resources_like
from aims.identifier.services import RegisterResource, actions_of, retire_resource, return_resource
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role, signed_in

MORE = 5  # empty lines that "more lines" adds
STATES = [("active", gettext_lazy("In use")), ("retired", gettext_lazy("Retired"))]
form_page = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@signed_in
def resource_list(request: HttpRequest) -> HttpResponse:
    """Show the resources by name."""
    form = SearchForm(request.GET, states=STATES)
    rows = Resource.objects.all()
    rows = resources_like(rows, **form.wanted()) if form.is_valid() else rows.none()
    page, is_admin = listed(request, rows, by=("name", "pk")), person_of(request).has_role("admin")
    return render(request, "resources/list.html", {"page": page, "form": form, "is_admin": is_admin})


@require_safe
@signed_in
def resource_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show a resource with everything that can be done there."""
    resource, is_admin = get_object_or_404(Resource, ref=ref), person_of(request).has_role("admin")
    question = _retiring(resource) if resource.retired_at is None else _returning(resource)
    shown = {
        "resource": resource,
        "actions": resource.actions.order_by("name"),
        "keys": keys.keys_of(resource.ref),
        "jwks_uri": keys.jwks_uri_of(resource.ref),
        "is_admin": is_admin,
        "questions": [question] if is_admin else [],
    }
    return render(request, "resources/detail.html", shown)


@form_page
@requires_role("admin")
def new(request: HttpRequest) -> HttpResponse:
    """Register a resource with its actions and keys, all of it or nothing."""
    form, lines = NewResourceForm(request.POST or None), _lines(request, held=[])
    if _is_complete(request, form, lines):
        command = _command(form, lines, identifier=form.cleaned_data["identifier"])
        try:
            resource = registering.register_resource_with_keys(
                command, keys=form.keys(), by=person_of(request).ref, now=clock.now()
            )
        except AimsError as error:
            put(form, error)
        else:
            messages.success(request, _("%(name)s is registered.") % {"name": resource.name})
            return redirect("resource", ref=resource.ref)
    return _form_page(request, "resources/new.html", form, lines)


@form_page
@requires_role("admin")
def edit(request: HttpRequest, ref: str) -> HttpResponse:
    """Change a resource and its actions. Its identifier stays."""
    resource = get_object_or_404(Resource, ref=ref)
    held = sorted((asdict(spec) for spec in actions_of(resource)), key=lambda spec: str(spec["name"]))
    form, lines = ChangedResourceForm(request.POST or None, initial=_initial(resource)), _lines(request, held=held)
    if _is_complete(request, form, lines):
        try:
            changed = registering.change_resource(
                resource,
                _command(form, lines, identifier=resource.identifier),
                keys=form.keys(),
                by=person_of(request).ref,
                now=clock.now(),
                seen_version=form.cleaned_data["seen"],
            )
        except AimsError as error:
            put(form, error)
        else:
            messages.success(request, saved(changed))
            return redirect("resource", ref=resource.ref)
    return _form_page(request, "resources/edit.html", form, lines, resource=resource)


@form_page
@requires_role("admin")
def retire(request: HttpRequest, ref: str) -> HttpResponse:
    """Issue no more tokens for a resource."""
    resource = get_object_or_404(Resource, ref=ref)

    def act(reason: str) -> str:
        retire_resource(resource, by=person_of(request).ref, now=clock.now())
        return _("%(name)s is retired. No more tokens are issued for it.") % {"name": resource.name}

    return ask(request, _retiring(resource), act=act)


@form_page
@requires_role("admin")
def take_back(request: HttpRequest, ref: str) -> HttpResponse:
    """Take a retired resource back into use."""
    resource = get_object_or_404(Resource, ref=ref)

    def act(reason: str) -> str:
        return_resource(resource, by=person_of(request).ref, now=clock.now())
        return _("%(name)s is in use again.") % {"name": resource.name}

    return ask(request, _returning(resource), act=act)


def _retiring(resource: Resource) -> Question:
    grants = DelegationGrant.objects.filter(resource=resource, revoked_at=None, until_at__gt=clock.now()).count()
    words = ngettext("%(n)s grant carries nothing any more", "%(n)s grants carry nothing any more", grants)
    return Question(
        id="retire",
        href=reverse("resource-retire", args=[resource.ref]),
        back=reverse("resource", args=[resource.ref]),
        button=_("Retire…"),
        title=_("Retire %(name)s?") % {"name": resource.name},
        text=_(
            "No more tokens are issued for it, and nothing new can be granted there. It can be taken back into use."
        ),
        points=(words % {"n": grants},) if grants else (),
        confirm=_("Retire"),
    )


def _returning(resource: Resource) -> Question:
    return Question(
        id="return",
        href=reverse("resource-return", args=[resource.ref]),
        back=reverse("resource", args=[resource.ref]),
        button=_("Take back into use"),
        title=_("Take %(name)s back into use?") % {"name": resource.name},
        text=_("Grants that have not ended carry tokens again."),
        confirm=_("Take back into use"),
        tone="ink",
    )


def _lines(request: HttpRequest, *, held: list[dict[str, Any]]) -> BaseFormSet[ActionForm]:
    """Return the lines of actions: those that are there, or those of the form, with more where they are asked for."""
    if request.method != "POST":
        return action_lines(held=held)
    if "more" not in request.POST:
        return action_lines(request.POST)
    data = request.POST.copy()
    count = data.get("actions-TOTAL_FORMS", "")
    if count.isascii() and count.isdigit() and len(count) < 4:
        data["actions-TOTAL_FORMS"] = str(int(count) + MORE)
    return action_lines(data)


def _is_complete(request: HttpRequest, form: ResourceForm, lines: BaseFormSet[ActionForm]) -> bool:
    if request.method != "POST" or "more" in request.POST:
        return False
    is_sound = lines.is_valid()
    return form.is_valid() and is_sound


def _form_page(
    request: HttpRequest, template: str, form: ResourceForm, lines: BaseFormSet[ActionForm], **more: object
) -> HttpResponse:
    is_wrong = request.method == "POST" and "more" not in request.POST
    return render(request, template, {"form": form, "lines": lines, **more}, status=422 if is_wrong else 200)


def _command(form: ResourceForm, lines: BaseFormSet[ActionForm], *, identifier: str) -> RegisterResource:
    data = form.cleaned_data
    return RegisterResource(
        identifier=identifier,
        name=data["name"],
        kind=data["kind"],
        description=data["description"],
        actions=specs_of(lines),
        operator=data["operator"],
    )


def _initial(resource: Resource) -> dict[str, Any]:
    fields = {name: getattr(resource, name) for name in ("name", "kind", "description")}
    operator = resource.operator.ref if resource.operator else None
    return keys_of(resource.ref) | fields | {"operator": operator, "seen": resource.version}
