"""Pages that change agents. Each parses, calls one verb, and goes back to the agent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from aims.authorization.services import agents as stopping
from aims.credentials.services import register_keys, set_jwks_uri
from aims.identifier.models import Agent
from aims.identifier.queries import agents_visible_to
from aims.identifier.services import RegisterAgent, register_agent
from aims.identifier.uri import folded
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role, signed_in
from aims.people.models import User
from audit.canonical import CanonicalError, decode

Verb = Callable[..., None]


class AgentForm(forms.Form):
    """A new agent. What a person types is folded before it is checked; credentials never are."""

    identifier = forms.CharField(
        label=_("Identifier"), max_length=2048, help_text=_("Such as spiffe://acme.example/agent/courier. For ever.")
    )
    name = forms.CharField(label=_("Name"), max_length=80)
    purpose = forms.CharField(label=_("Purpose"), max_length=400, help_text=_("One sentence: what is it for?"))
    contact = forms.CharField(label=_("Contact"), max_length=254, help_text=_("Whom to call when it misbehaves."))
    owner = forms.ModelChoiceField(
        label=_("Owner"), queryset=User.objects.filter(is_active=True).order_by("name"), to_field_name="ref"
    )
    jwks = forms.CharField(
        label=_("Public keys (JWKS)"), required=False, max_length=65536, widget=forms.Textarea(attrs={"rows": 6})
    )
    jwks_uri = forms.CharField(label=_("or where it publishes them"), required=False, max_length=2048)

    def clean_identifier(self) -> str:
        return folded(str(self.cleaned_data["identifier"]))

    def clean_jwks(self) -> object:
        text = str(self.cleaned_data["jwks"]).strip()
        try:
            return decode(text.encode()) if text else None
        except CanonicalError as error:
            raise forms.ValidationError(_("This is not strict JSON.")) from error

    def clean(self) -> None:
        if self.cleaned_data.get("jwks") and self.cleaned_data.get("jwks_uri"):
            raise forms.ValidationError(_("Give the keys or their address, not both."))


@requires_role("admin")
def new(request: HttpRequest) -> HttpResponse:
    """Register an agent with its keys, all of it or nothing."""
    form = AgentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            agent = _register(form, by=person_of(request).ref, now=clock.now())
        except AimsError as error:
            form.add_error(None, error.public)
        else:
            return redirect("agent", ref=agent.ref)
    return render(request, "agents/new.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@signed_in
def suspend(request: HttpRequest, ref: str) -> HttpResponse:
    """Suspend an agent, with everything that it waits for."""
    return _act(request, ref, stopping.suspend_agent)


@require_POST
@signed_in
def resume(request: HttpRequest, ref: str) -> HttpResponse:
    """Let a suspended agent act again."""
    return _act(request, ref, stopping.resume_agent)


@require_POST
@signed_in
def stop(request: HttpRequest, ref: str) -> HttpResponse:
    """Suspend an agent and take back all that it was given."""
    return _act(request, ref, stopping.stop_everything)


@require_POST
@requires_role("admin")
def retire(request: HttpRequest, ref: str) -> HttpResponse:
    """Retire an agent for ever."""
    return _act(request, ref, stopping.retire_agent)


def _act(request: HttpRequest, ref: str, verb: Verb) -> HttpResponse:
    person = person_of(request)
    agent: Agent = get_object_or_404(agents_visible_to(person), ref=ref)
    if agent.owner_id != person.pk and not person.has_role("admin"):
        raise PermissionDenied
    try:
        verb(agent, reason=request.POST.get("reason", ""), by=person.ref, now=clock.now())
    except AimsError as error:
        messages.error(request, error.public)
    return redirect("agent", ref=agent.ref)


def _register(form: AgentForm, *, by: str, now: datetime) -> Agent:
    data = form.cleaned_data
    command = RegisterAgent(**{name: data[name] for name in ("identifier", "name", "purpose", "contact", "owner")})
    with transaction.atomic():
        agent = register_agent(command, by=by, now=now)
        if data["jwks"] is not None:
            register_keys(agent.ref, data["jwks"], by=by, now=now)
        if data["jwks_uri"]:
            set_jwks_uri(agent.ref, data["jwks_uri"], by=by, now=now)
    return agent
