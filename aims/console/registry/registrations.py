"""Pages about clients that registered themselves: who waits, who may come in, and by which rules without a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from aims.authorization import redirects
from aims.authorization.client_metadata import ClientMetadata, changed
from aims.authorization.client_models import ClientRegistration, TrustRule
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import admission, trust_rules
from aims.authorization.services.admission import AdmitClient
from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import AgentForm, NewAgentForm, put
from aims.console.registry.listing import SearchForm, listed
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role

STATES = [
    (RegistrationState.QUARANTINED.value, gettext_lazy("Waits to be admitted")),
    (RegistrationState.ADMITTED.value, gettext_lazy("Admitted")),
    (RegistrationState.REFUSED.value, gettext_lazy("Refused")),
    (RegistrationState.EXPIRED.value, gettext_lazy("Forgotten")),
    (RegistrationState.WITHDRAWN.value, gettext_lazy("Withdrawn")),
]
MAY_BE_ADMITTED = (RegistrationState.QUARANTINED, RegistrationState.REFUSED)
form_page = require_http_methods(["GET", "HEAD", "POST"])


class AdmitForm(forms.Form):
    """What an admin decides about a client that waits. Nothing of it comes from the client."""

    name = AgentForm.base_fields["name"]
    purpose = AgentForm.base_fields["purpose"]
    owner = NewAgentForm.base_fields["owner"]
    contact = AgentForm.base_fields["contact"]
    groups = AgentForm.base_fields["groups"]

    def command(self) -> AdmitClient:
        """Return the decision."""
        data = self.cleaned_data
        texts = {name: data[name] for name in ("name", "purpose", "contact")}
        return AdmitClient(owner=data["owner"], related_groups=tuple(data["groups"]), **texts)


class RuleForm(forms.Form):
    """A new trust rule."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Who is let in"), choices=TrustRule.Kind.choices, widget=forms.RadioSelect
    )
    value = forms.CharField(
        label=gettext_lazy("Compared with"),
        max_length=255,
        help_text=gettext_lazy("A host such as app.example, or a software_id. Compared whole, never by a part of it."),
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    owner = NewAgentForm.base_fields["owner"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A member that changed after the client was admitted."""

    name: str
    before: str
    after: str


@require_safe
@requires_role("admin")
def registration_list(request: HttpRequest) -> HttpResponse:
    """Show clients that registered themselves: those that wait, unless another state is looked for."""
    form = SearchForm(request.GET, states=STATES)
    rows = ClientRegistration.objects.select_related("agent")
    if form.is_valid():
        wanted = form.wanted()
        rows = rows.filter(state=wanted["state"]) if wanted["state"] else rows
        rows = rows.filter(client_id__icontains=wanted["text"]) if wanted["text"] else rows
    if not form.is_used:
        rows = rows.filter(state=RegistrationState.QUARANTINED)
    page = listed(request, rows, by=("-state_since_at", "-pk"))
    lines = [{"row": row, "title": row.name or row.client_id, "sub": _goes_to(row)} for row in page.rows]
    return render(request, "agents/registrations.html", {"page": page, "lines": lines, "form": form})


@form_page
@requires_role("admin")
def registration_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show what a client says of itself, and let it in on POST."""
    row = get_object_or_404(ClientRegistration.objects.select_related("agent__owner", "rule"), ref=ref)
    form = AdmitForm(request.POST or None)
    if request.method == "POST" and (row.agent is not None or form.is_valid()):
        try:
            command = _again(row) if row.agent is not None else form.command()
            agent = admission.admit(row, command, by=person_of(request).ref, now=clock.now())
        except AimsError as error:
            if row.agent is None:
                put(form, error)
            else:
                messages.error(request, _(error.public))
        else:
            said = _("%(name)s is admitted. It may do nothing until somebody gives it a grant.")
            messages.success(request, said % {"name": agent.name})
            return redirect("agent", ref=agent.ref)
    return render(request, "agents/registration.html", _shown(row, form), status=422 if form.errors else 200)


@form_page
@requires_role("admin")
def refuse(request: HttpRequest, ref: str) -> HttpResponse:
    """Don't let a client in."""
    row = get_object_or_404(ClientRegistration, ref=ref)

    def act(reason: str) -> str:
        admission.refuse(row, reason=reason, by=person_of(request).ref, now=clock.now())
        return _("The client is refused. It learns nothing of it.")

    return ask(request, _refusing(row), act=act)


@form_page
@requires_role("admin")
def trust_rule_list(request: HttpRequest) -> HttpResponse:
    """Show the trust rules, and add another."""
    form = RuleForm(request.POST or None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            trust_rules.add_rule(
                data["kind"], data["value"], owner=data["owner"], by=person_of(request).ref, now=clock.now()
            )
        except AimsError as error:
            form.add_error("value", _(error.public))
        else:
            messages.success(request, _("The rule is in force for whoever comes from now on."))
            return redirect("trust-rules")
    rules = TrustRule.objects.select_related("owner").filter(ended_at=None).order_by("kind", "value")
    lines = [{"rule": rule, "question": _ending(rule)} for rule in rules]
    shown = {"form": form, "lines": lines, "questions": [line["question"] for line in lines]}
    return render(request, "agents/trust_rules.html", shown, status=422 if form.errors else 200)


@form_page
@requires_role("admin")
def end_trust_rule(request: HttpRequest, ref: str) -> HttpResponse:
    """Admit nobody by a rule any more."""
    rule = get_object_or_404(TrustRule, ref=ref)

    def act(reason: str) -> str:
        trust_rules.end_rule(rule, by=person_of(request).ref, now=clock.now())
        return _("The rule has ended. Who came in by it stays.")

    return ask(request, _ending(rule), act=act)


def _shown(row: ClientRegistration, form: AdmitForm) -> dict[str, Any]:
    metadata = ClientMetadata(members=row.metadata)
    may_be_admitted = row.state in MAY_BE_ADMITTED
    return {
        "row": row,
        "form": form,
        "metadata": metadata.members,
        "redirects": [(uri, redirects.host_of(uri), redirects.is_loopback(uri)) for uri in metadata.redirect_uris],
        "is_loopback_only": metadata.is_loopback_only,
        "differences": _differences(row) if row.agent is not None and may_be_admitted else [],
        "may_be_admitted": may_be_admitted,
        "questions": [_refusing(row)] if row.state == RegistrationState.QUARANTINED else [],
    }


def _differences(row: ClientRegistration) -> list[Difference]:
    before = row.admitted_metadata or {}
    return [
        Difference(name=name, before=_words(before.get(name)), after=_words(row.metadata.get(name)))
        for name in changed(before, row.metadata)
    ]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _goes_to(row: ClientRegistration) -> str:
    """Return where the client's answers would go, or how it works where none do."""
    hosts = dict.fromkeys(redirects.host_of(uri) for uri in row.metadata.get("redirect_uris", ()))
    return ", ".join(hosts) or _("for itself, with a key")


def _again(row: ClientRegistration) -> AdmitClient:
    """Return what stays as it is where a changed client is let go on."""
    agent = row.agent
    assert agent is not None
    return AdmitClient(owner=agent.owner, name=agent.name, purpose=agent.purpose, contact=agent.contact)


def _refusing(row: ClientRegistration) -> Question:
    return Question(
        id="refuse",
        href=reverse("registration-refuse", args=[row.ref]),
        back=reverse("registration", args=[row.ref]),
        button=_("Refuse…"),
        title=_("Refuse this client?"),
        text=_("Whoever comes with it is told that it is not admitted. It can still be admitted later."),
        confirm=_("Refuse"),
        reason=_("Why?"),
    )


def _ending(rule: TrustRule) -> Question:
    return Question(
        id=f"end-{rule.ref}",
        href=reverse("trust-rule-end", args=[rule.ref]),
        back=reverse("trust-rules"),
        button=_("End…"),
        title=_("End the rule for %(value)s?") % {"value": rule.value},
        text=_("Nobody comes in by it any more. Agents that did stay as they are."),
        confirm=_("End"),
    )
