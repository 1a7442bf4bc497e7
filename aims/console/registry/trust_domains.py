"""The pages about trust domains: whose identifiers are accepted, and which keys vouch for them."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import put
from aims.console.registry.listing import listed
from aims.console.registry.trust_domain_forms import BundleForm, TrustDomainForm, of_bundle
from aims.console.templatetags import words
from aims.credentials.bundles import Bundle
from aims.credentials.models import TrustBundle
from aims.credentials.queries import bundle_of
from aims.credentials.services import drop_bundle, set_bundle, set_bundle_endpoint
from aims.identifier.errors import IdentifierRefused
from aims.identifier.models import TrustDomain
from aims.identifier.services import register_trust_domain, retire_trust_domain
from aims.kit import clock
from aims.kit.errors import AimsError
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
    domain = _named(name)

    def act(reason: str) -> str:
        retire_trust_domain(domain, by=person_of(request).ref, now=clock.now())
        return _("%(name)s is retired. Its agents stay.") % {"name": domain.name}

    return ask(request, _retiring(domain), act=act)


@form_page
@requires_role("admin")
def bundle(request: HttpRequest, name: str) -> HttpResponse:
    """Show the keys that vouch for a trust domain, and change them or where they are fetched."""
    domain = _named(name)
    row = TrustBundle.objects.filter(trust_domain=domain).first()
    form = BundleForm(request.POST or None, initial=of_bundle(row))
    if form.is_valid():
        try:
            has_changed = _change(domain, form, by=person_of(request).ref)
        except AimsError as error:
            put(form, error)
        else:
            said = (
                _("Saved: what vouches for %(name)s.")
                if has_changed
                else _("Nothing was different, so nothing was written.")
            )
            messages.success(request, said % {"name": domain.name})
            return redirect("trust-domain", name=domain.name)
    question = _dropping(domain) if row else None
    shown = {
        "domain": domain,
        "form": form,
        "held": row,
        "rows": _facts(row, bundle_of(domain.name)),
        "question": question,
        "questions": [question] if question else [],
    }
    return render(request, "agents/trust_domain.html", shown, status=422 if form.errors else 200)


@form_page
@requires_role("admin")
def drop(request: HttpRequest, name: str) -> HttpResponse:
    """Forget the keys of a trust domain, and where they were fetched."""
    domain = _named(name)

    def act(reason: str) -> str:
        drop_bundle(domain, by=person_of(request).ref)
        return _("Nothing vouches for %(name)s any more.") % {"name": domain.name}

    return ask(request, _dropping(domain), act=act)


def _named(name: str) -> TrustDomain:
    return get_object_or_404(TrustDomain, name=name if name.isprintable() else "")


def _change(domain: TrustDomain, form: BundleForm, *, by: str) -> bool:
    """An empty text leaves the bundle as it is: a domain without one is made by dropping it."""
    now, data = clock.now(), form.cleaned_data
    with transaction.atomic():
        is_other = data["bundle"] is not None and set_bundle(domain, data["bundle"], by=by, now=now)
        return set_bundle_endpoint(domain, data["endpoint_url"], by=by, now=now) or is_other


def _facts(row: TrustBundle | None, held: Bundle | None) -> list[dict[str, str]]:
    """Return what a reader wants to know of a bundle, labels and values."""
    if row is None:
        return []
    facts = []
    if held:
        kinds = (
            (_("For certificates (X.509-SVID)"), held.authorities),
            (_("For JWT-SVIDs"), held.jwt_keys),
            (_("For workload tokens (WIT)"), held.wit_keys),
        )
        facts = [{"label": label, "value": str(len(keys)), "kind": "number"} for label, keys in kinds]
        sequence = _("none") if held.sequence is None else str(held.sequence)
        facts.append({"label": _("Sequence"), "value": sequence, "kind": "number"})
    if row.changed_at:
        facts.append({"label": _("Changed"), "value": words.stamp(row.changed_at)})
    if row.endpoint_url:
        fetched = words.stamp(row.fetched_at) if row.fetched_at else _("not yet")
        facts.append({"label": _("Fetched"), "value": fetched, "sub": row.endpoint_url})
    return facts


def _dropping(domain: TrustDomain) -> Question:
    return Question(
        id=f"drop-{domain.name}",
        href=reverse("trust-domain-bundle-drop", args=[domain.name]),
        back=reverse("trust-domain", args=[domain.name]),
        button=_("Forget the bundle…"),
        title=_("Forget the bundle of %(name)s?") % {"name": domain.name},
        text=_(
            "Agents that prove who they are by a certificate or a token of this domain can't until there is another."
        ),
        confirm=_("Forget it"),
    )


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
