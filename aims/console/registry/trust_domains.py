"""The page about trust domains: whose identifiers are accepted."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import TrustDomainForm
from aims.console.registry.listing import listed
from aims.identifier.errors import IdentifierRefused
from aims.identifier.models import TrustDomain
from aims.identifier.services import register_trust_domain, retire_trust_domain
from aims.kit import clock
from aims.people.access import person_of, requires_role

form_page = require_http_methods(["GET", "HEAD", "POST"])


@form_page
@requires_role("admin")
def trust_domains(request: HttpRequest) -> HttpResponse:
    """List trust domains, and accept another."""
    form = TrustDomainForm(request.POST or None)
    if form.is_valid():
        try:
            domain = register_trust_domain(form.cleaned_data["name"], by=person_of(request).ref, now=clock.now())
        except IdentifierRefused as error:
            form.add_error("name", _(error.public))
        else:
            if domain.retired_at is not None:
                messages.error(request, _("%(name)s was retired, for good.") % {"name": domain.name})
                return redirect("trust-domains")
            messages.success(request, _("Identifiers of %(name)s are accepted.") % {"name": domain.name})
            return redirect("trust-domains")
    rows = TrustDomain.objects.annotate(count=Count("agents"))
    page = listed(request, rows, by=("name",), key="name")
    lines = [{"domain": row, "question": None if row.retired_at else _retiring(row)} for row in page.rows]
    asked = [line["question"] for line in lines if line["question"]]
    shown = {"form": form, "page": page, "rows": lines, "questions": asked}
    return render(request, "agents/trust_domains.html", shown, status=422 if form.errors else 200)


@form_page
@requires_role("admin")
def retire(request: HttpRequest, name: str) -> HttpResponse:
    """Register no more agents in a trust domain."""
    domain = get_object_or_404(TrustDomain, name=name if name.isprintable() else "")

    def act(reason: str) -> str:
        retire_trust_domain(domain, by=person_of(request).ref, now=clock.now())
        return _("%(name)s is retired. Its agents stay.") % {"name": domain.name}

    return ask(request, _retiring(domain), act=act)


def _retiring(domain: TrustDomain) -> Question:
    return Question(
        id=f"retire-{domain.name}",
        href=reverse("trust-domain-retire", args=[domain.name]),
        back=reverse("trust-domains"),
        button=_("Retire…"),
        title=_("Retire %(name)s?") % {"name": domain.name},
        text=_(
            "No more agents are registered in it, and it can't be taken back. Those that are there stay as they are."
        ),
        confirm=_("Retire"),
    )
