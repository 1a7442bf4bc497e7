"""The pages of findings and rules, for who reads the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from aims.authorization.models import DelegationGrant
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.observability import detecting, queries
from aims.observability.errors import FindingMoved
from aims.observability.models import CloseReason, Finding, FindingState
from aims.observability.rules import RULES
from aims.people.access import person_of, requires_role
from aims.people.models import User
from audit import read
from audit.read import EntryView

READERS = ("auditor", "admin")
TONES = {"high": "no", "medium": "waiting", "low": "plain"}
STATES = (("", gettext_lazy("All")), ("waiting", gettext_lazy("Waiting")), *FindingState.choices)
SEVERITIES = (
    ("", gettext_lazy("Any")),
    ("high", gettext_lazy("High")),
    ("medium", gettext_lazy("Medium")),
    ("low", gettext_lazy("Low")),
)


class FilterForm(forms.Form):
    """What to look for among the findings."""

    state = forms.ChoiceField(label=gettext_lazy("State"), choices=STATES, required=False)
    severity = forms.ChoiceField(label=gettext_lazy("Severity"), choices=SEVERITIES, required=False)
    rule = forms.ChoiceField(
        label=gettext_lazy("Rule"),
        choices=[("", gettext_lazy("Any")), *((rule.id, gettext_lazy(rule.title)) for rule in RULES.values())],
        required=False,
    )


class CloseForm(forms.Form):
    """Why it is closed."""

    reason = forms.ChoiceField(label=gettext_lazy("Why"), choices=CloseReason.choices)


@dataclass(frozen=True, kw_only=True)
class About:
    """Something that a finding is about. acts: label and address of what can be done about it."""

    label: str
    name: str
    ref: str
    href: str
    story: str
    acts: Sequence[tuple[str, str]] = ()


@require_safe
@requires_role(*READERS)
def finding_list(request: HttpRequest) -> HttpResponse:
    """Show what the rules found, the newest first; what waits, unless asked for something else."""
    form = FilterForm(request.GET if request.GET else {"state": "waiting"})
    asked = form.cleaned_data if form.is_valid() else {}
    wanted = {name: asked.get(name, "") for name in ("state", "severity", "rule")}
    before = request.GET.get("before", "")
    at = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    rows = list(queries.found(read.scope_of(request.user), before=at, **wanted))
    page = rows[: queries.LIST_MAX]
    older = "?" + urlencode({**wanted, "before": page[-1].last_index}) if len(rows) > queries.LIST_MAX else ""
    shown = {
        "form": form,
        "rows": [_row(row) for row in page],
        "older": older,
        "newest": request.path if at is not None else "",
        "is_waiting": wanted == {"state": "waiting", "severity": "", "rule": ""},
    }
    return render(request, "findings/list.html", shown)


@require_safe
@requires_role(*READERS)
def finding_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show one finding: what was seen, the entries that show it, what can be done."""
    finding = _finding(request, ref)
    shown = {
        "finding": finding,
        "title": _title(finding),
        "says": _(RULES[finding.rule].says) if finding.rule in RULES else "",
        "tone": TONES[finding.severity],
        "about": list(_about(finding)),
        "evidence": _evidence(finding, request),
        "form": CloseForm(),
        "is_open": finding.state == FindingState.OPEN,
        "is_waiting": finding.state != FindingState.CLOSED,
        "may_act": person_of(request).has_role("admin"),
        "moved_by": User.objects.filter(ref=finding.moved_by).values_list("name", flat=True).first()
        or finding.moved_by,
    }
    return render(request, "findings/finding.html", shown)


@require_safe
@requires_role(*READERS)
def rule_page(request: HttpRequest) -> HttpResponse:
    """Show every rule: what it looks for, its thresholds, how far it has read, what it found."""
    return render(request, "findings/rules.html", {"standings": queries.standings(), "size": read.size()})


@require_POST
@requires_role("admin")
def acknowledge(request: HttpRequest, ref: str) -> HttpResponse:
    """Say that one looks at it."""
    return _moved(request, ref, lambda found: detecting.acknowledge(found, by=person_of(request).ref, now=clock.now()))


@require_POST
@requires_role("admin")
def close(request: HttpRequest, ref: str) -> HttpResponse:
    """Close it for a reason."""
    form = CloseForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say why it is closed."))
        return redirect("finding", ref=ref)
    reason = CloseReason(form.cleaned_data["reason"])
    return _moved(
        request, ref, lambda found: detecting.close(found, reason, by=person_of(request).ref, now=clock.now())
    )


def _row(finding: Finding) -> dict[str, Any]:
    is_closed = finding.state == FindingState.CLOSED
    return {
        "finding": finding,
        "title": _title(finding),
        "state": FindingState(finding.state).label,
        "is_closed": is_closed,
    }


def _title(finding: Finding) -> str:
    """Return what its rule is called, in the reader's language; the rule's id where nobody knows it any more."""
    return _(RULES[finding.rule].title) if finding.rule in RULES else finding.rule


def _moved(request: HttpRequest, ref: str, verb: Any) -> HttpResponse:
    try:
        verb(_finding(request, ref))
    except FindingMoved as error:
        messages.error(request, str(error.public))
    return redirect("finding", ref=ref)


def _finding(request: HttpRequest, ref: str) -> Finding:
    found = queries.findings(read.scope_of(request.user)).filter(ref=ref).first()
    if found is None:
        raise Http404
    return found


def _evidence(finding: Finding, request: HttpRequest) -> list[EntryView]:
    """Return the entries that show it, as far as this reader may see them."""
    scope, shown = read.scope_of(request.user), []
    for index in sorted(set(finding.evidence)):
        try:
            shown.append(read.entry(index, scope=scope))
        except read.LogError:
            continue
    return shown


def _about(finding: Finding) -> list[About]:
    found = [_agent(finding.agent), _person(finding.person), _grant(finding.grant), _resource(finding.resource)]
    if finding.txn:
        story = f"/audit/timeline/txn/{finding.txn}/"
        found.append(About(label=_("Transaction"), name=finding.txn, ref=finding.txn, href=story, story=story))
    return [each for each in found if each is not None]


def _agent(identifier: str | None) -> About | None:
    row = Agent.objects.filter(identifier=identifier).first() if identifier else None
    if row is None:
        return None
    href, story = f"/agents/{row.ref}/", f"/audit/timeline/agent/{row.ref}/"
    acts = [(_("Stop this agent"), f"{href}stop/"), (_("Suspend it"), f"{href}suspend/")]
    return About(label=_("Agent"), name=row.name, ref=row.identifier, href=href, story=story, acts=acts)


def _person(ref: str | None) -> About | None:
    row = User.objects.filter(ref=ref).first() if ref else None
    if row is None:
        return None
    href, story = f"/people/{row.ref}/", f"/audit/timeline/person/{row.ref}/"
    acts = [(_("End sessions, roles and keys"), href)]
    return About(label=_("Person"), name=row.name, ref=row.ref, href=href, story=story, acts=acts)


def _grant(ref: str | None) -> About | None:
    row = DelegationGrant.objects.filter(ref=ref).first() if ref else None
    if row is None:
        return None
    href, story = f"/grants/{row.ref}/", f"/audit/timeline/grant/{row.ref}/"
    acts = [(_("Take it back"), f"{href}revoke/")] if row.revoked_at is None else []
    return About(label=_("Permission"), name=row.ref, ref=row.ref, href=href, story=story, acts=acts)


def _resource(identifier: str | None) -> About | None:
    row = Resource.objects.filter(identifier=identifier).first() if identifier else None
    if row is None:
        return None
    return About(label=_("Resource"), name=row.name, ref=row.identifier, href=f"/resources/{row.ref}/", story="")
