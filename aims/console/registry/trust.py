"""Pages about authorization servers of other domains: whose word counts here, and who hears ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from aims.authorization.impact import ends_with
from aims.authorization.models import ForeignServer
from aims.authorization.services.trust import TrustServer, retire_server
from aims.authorization.trust_models import ISSUER_MAX
from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import KeysForm, put
from aims.console.registry.listing import listed
from aims.console.trusting import agent_called, person_called, trust_with_keys
from aims.credentials import queries as keys
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role

form_page = require_http_methods(["GET", "HEAD", "POST"])
LINES_MAX = 200_000  # characters of a map
_PROFILES = [
    ("chaining", gettext_lazy("Identity chaining: an agent goes on across the border")),
    ("id-jag", gettext_lazy("Identity assertion (ID-JAG): a person's sign-in counts across the border")),
]
_Row = TypeVar("_Row")


def _lines(label: Any, help_text: Any) -> forms.CharField:
    attrs = {"rows": 4, "class": "code", "spellcheck": "false"}
    return forms.CharField(
        label=label, help_text=help_text, required=False, max_length=LINES_MAX, widget=forms.Textarea(attrs=attrs)
    )


def _profiles(label: Any) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label, choices=_PROFILES, required=False, widget=forms.CheckboxSelectMultiple
    )


class TrustForm(KeysForm):
    """What another server may say here, and what we say to it."""

    issuer = forms.CharField(
        label=gettext_lazy("Issuer"),
        max_length=ISSUER_MAX,
        help_text=gettext_lazy("Its issuer identifier, to the letter, such as https://login.partner.example."),
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    accepts = _profiles(gettext_lazy("It may say here"))
    receives = _profiles(gettext_lazy("We say to it"))
    scopes = forms.CharField(
        label=gettext_lazy("Scopes that its word may carry"), required=False, max_length=4000,
        help_text=gettext_lazy("Words with spaces between. Without any, its word opens nothing."),
    )  # fmt: skip
    subjects = _lines(
        gettext_lazy("People"), gettext_lazy("One a line: its name for a person, a space, their address here.")
    )
    clients = _lines(
        gettext_lazy("Agents"), gettext_lazy("One a line: its client_id for an agent, a space, the agent's identifier.")
    )
    matches_email = forms.BooleanField(
        label=gettext_lazy("Know people by the verified address in an ID-JAG"), required=False
    )
    tells_email = forms.BooleanField(label=gettext_lazy("Tell it people's addresses"), required=False)

    def command(self) -> TrustServer:
        """Return what the form says. Raises TrustRefused, ValidationError."""
        data = self.cleaned_data
        return TrustServer(
            issuer=data["issuer"],
            name=data["name"],
            accepts=tuple(data["accepts"]),
            receives=tuple(data["receives"]),
            scopes=tuple(data["scopes"].split()),
            matches_email=data["matches_email"],
            tells_email=data["tells_email"],
            subjects=_mapped(data["subjects"], person_called),
            clients=_mapped(data["clients"], agent_called),
        )


@form_page
@requires_role("admin")
def servers(request: HttpRequest) -> HttpResponse:
    """List the servers, and trust another."""
    form = TrustForm(request.POST or None)
    if form.is_valid() and (server := _trusted(request, form)):
        messages.success(request, _("%(name)s is trusted in this way.") % {"name": server.name})
        return redirect("trust")
    page = listed(request, ForeignServer.objects.all(), by=("issuer",), key="issuer")
    counts = ends_with([row for row in page.rows if not row.retired_at], now=clock.now())
    lines = [
        {"server": row, "question": None if row.retired_at else _retiring(row, counts[row.pk])} for row in page.rows
    ]
    shown = {"form": form, "page": page, "rows": lines, "questions": [x["question"] for x in lines if x["question"]]}
    return render(request, "trust/list.html", shown, status=422 if form.errors else 200)


@form_page
@requires_role("admin")
def edit(request: HttpRequest, ref: str) -> HttpResponse:
    """Change how far a server is trusted. Its issuer stays."""
    server = get_object_or_404(ForeignServer, ref=ref, retired_at=None)
    form = TrustForm(request.POST or None, initial=_initial(server))
    form.fields["issuer"].disabled = True
    if form.is_valid() and _trusted(request, form):
        messages.success(request, _("Saved. What it may say less of has ended."))
        return redirect("trust")
    shown = {"form": form, "server": server}
    return render(request, "trust/edit.html", shown, status=422 if form.errors else 200)


@form_page
@requires_role("admin")
def retire(request: HttpRequest, ref: str) -> HttpResponse:
    """Trust a server no more."""
    server = get_object_or_404(ForeignServer, ref=ref)

    def act(reason: str) -> str:
        retire_server(server, by=person_of(request).ref, now=clock.now())
        return _("%(name)s is trusted no more.") % {"name": server.name}

    return ask(request, _retiring(server, ends_with([server], now=clock.now())[server.pk]), act=act)


def _trusted(request: HttpRequest, form: TrustForm) -> ForeignServer | None:
    try:
        server, _changed = trust_with_keys(form.command(), keys=form.keys(), by=person_of(request).ref, now=clock.now())
    except AimsError as error:
        put(form, error)
        return None
    except forms.ValidationError as error:
        form.add_error(None, error)
        return None
    return server


def _mapped(text: str, find: Callable[[str], _Row]) -> Mapping[str, _Row]:
    """Return a map of lines of two words. Raises ValidationError, and what ``find`` raises."""
    found: dict[str, _Row] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _space, ours = line.rpartition(" ")
        if not name.strip() or name.strip() in found:
            raise forms.ValidationError(
                _("Write two words in each line, and each name once: %(line)s") % {"line": line}
            )
        found[name.strip()] = find(ours)
    return found


def _initial(server: ForeignServer) -> dict[str, Any]:
    held = [dict(key.jwk) for key in keys.registered_keys_of(server.ref)]
    subjects = server.subjects.filter(is_ours=False).select_related("person").order_by("subject")
    clients = server.clients.select_related("agent").order_by("client_id")
    return {
        **{name: getattr(server, name) for name in ("issuer", "name", "accepts", "receives", "matches_email", "tells_email")},
        "scopes": " ".join(server.scopes),
        "subjects": "\n".join(f"{row.subject} {row.person.email}" for row in subjects),
        "clients": "\n".join(f"{row.client_id} {row.agent.identifier}" for row in clients),
        "jwks": json.dumps({"keys": held}, indent=2) if held else "",
        "jwks_uri": keys.jwks_uri_of(server.ref) or "",
    }  # fmt: skip


def _retiring(server: ForeignServer, count: int) -> Question:
    ends = ngettext(
        "%(count)d token that stands on its word ends at once, and it hears nothing more.",
        "%(count)d tokens that stand on its word end at once, and it hears nothing more.",
        count,
    )  # fmt: skip
    if not count:
        ends = _("No token stands on its word now. It hears nothing more.")
    return Question(
        id=f"retire-{server.ref}",
        href=reverse("trust-retire", args=[server.ref]),
        back=reverse("trust"),
        button=_("Retire…"),
        title=_("Trust %(name)s no more?") % {"name": server.name},
        text=ends % {"count": count} + " " + _("It can't be taken back."),
        confirm=_("Retire"),
    )
