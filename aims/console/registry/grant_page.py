"""One grant: all that it says, what hangs on it, and what ends it. What will end is shown before it does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from aims.authorization import standing
from aims.authorization.impact import Change, Impact, impact_of, narrowing, revoking
from aims.authorization.models import ApprovalRequest, DelegationGrant
from aims.authorization.queries import seen_among, state_of
from aims.authorization.request_errors import AlreadyDecided, GrantChanged
from aims.authorization.services.families import live_families
from aims.authorization.services.grants import checked_terms, narrow_grant, revoke_grant
from aims.console import labels
from aims.console.registry.forms import put
from aims.console.registry.grant_forms import NarrowForm
from aims.console.registry.grant_history import history_of, searched_for
from aims.console.registry.grant_words import changes_of, depth_words, giver, may, shown, titles_of
from aims.console.registry.rights import may_end, may_pass_on, scope_on, tokens_seen, visible_to
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, signed_in
from aims.people.models import User
from audit.read import scope_of

form_page = require_http_methods(["GET", "HEAD", "POST"])
SHOWN_MAX = 20  # tokens, requests and grants named in a preview; the others are counted


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What will end, as ``grants/_impact.html`` shows it. changed: lines about the grant itself, none where it ends.

    lesser: the grants below that become narrower, each with what changes. asked: the requests that the reader may see;
    others: how many besides. kept: other grants that go on covering some, those that the reader may open; elsewhere: whether
    there are more.
    """

    impact: Impact
    changed: list[str]
    lesser: list[tuple[DelegationGrant, list[str]]]
    asked: list[ApprovalRequest]
    others: int
    kept: list[DelegationGrant]
    elsewhere: bool


@require_safe
@signed_in
def grant_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show one grant; who may not see it can't tell it from one that is not there."""
    person, now = person_of(request), clock.now()
    grant = get_object_or_404(visible_to(person), ref=ref)
    (row,) = shown([grant], now=now)
    is_over = row.state in ("revoked", "expired")
    by, scope = {grant.given_by, grant.revoked_by}, scope_on(person, grant)
    children = [each for each in standing.children_of(grant) if scope.covers_agent(each.agent.identifier)]
    context = {
        "grant": grant,
        "row": row,
        "giver": giver(grant),
        "may_open_parent": grant.parent_id is not None and visible_to(person).filter(pk=grant.parent_id).exists(),
        "actions": list(grant.resource.actions.filter(name__in=grant.actions).order_by("name")),
        "depth": depth_words(grant.depth),
        "names": labels.of(by),
        "given_by": labels.of(by).get(grant.given_by, grant.given_by),
        "revoked_by": labels.of(by).get(grant.revoked_by, grant.revoked_by),
        "tokens": tokens_seen(scope, standing.live_tokens(grant, now=now)),
        "families": list(live_families(now=now).filter(grant=grant)[:SHOWN_MAX]),
        "children": shown(children, now=now),
        "history": history_of(grant, scope=scope),
        "log_href": f"{reverse('audit:list')}?{urlencode(searched_for(grant))}",
        "may_end": not is_over and may_end(person, grant),
        "may_pass_on": not is_over and grant.depth > 0 and may_pass_on(person, grant),
        "may_read_log": scope_of(person).covers_agent(grant.agent.identifier),
        "is_over": is_over,
    }
    return render(request, "grants/detail.html", context)


@form_page
@signed_in
def narrow(request: HttpRequest, ref: str) -> HttpResponse:
    """Let a grant allow less: first what, then what ends with it, then it is done."""
    person, now = person_of(request), clock.now()
    grant = _endable(person, ref)
    if state_of(grant, now=now) in ("revoked", "expired"):
        messages.error(request, _("This grant has ended. There is nothing to narrow."))
        return redirect("grant", ref=ref)
    form = NarrowForm(request.POST or (request.GET if "seen" in request.GET else None), grant=grant)
    context: dict[str, Any] = {"form": form, "grant": grant, "may": _may(grant)}
    if not form.is_valid():
        return render(request, "grants/narrow.html", context, status=422 if form.errors else 200)
    try:
        if form.cleaned_data["seen"] != grant.version:
            raise GrantChanged(detail=grant.ref)
        terms = checked_terms(grant, form.command(), now=now)
        if request.method == "POST":
            narrow_grant(grant, form.command(), by=person.ref, now=now, seen_version=form.cleaned_data["seen"])
            messages.success(request, _("Narrowed. What no longer fits has ended."))
            return _back(grant, person)
    except AimsError as error:
        put(form, error)
        return render(request, "grants/narrow.html", context, status=422)
    if "edit" not in request.GET:
        context["preview"] = _preview(narrowing(grant, **terms), person, now=now)
        context["sent"] = [(name, value) for name, values in request.GET.lists() for value in values]
        context["again"] = f"?{request.GET.urlencode()}&edit="
    return render(request, "grants/narrow.html", context)


@form_page
@signed_in
def revoke(request: HttpRequest, ref: str) -> HttpResponse:
    """Take a grant back, with all that hangs on it, after showing what that is."""
    person, now = person_of(request), clock.now()
    grant = _endable(person, ref)
    if grant.revoked_at is not None:
        messages.error(request, _("This grant has been taken back before."))
        return redirect("grant", ref=ref)
    if request.method == "POST":
        try:
            revoke_grant(grant, by=person.ref, now=now, seen_version=_seen(request))
        except GrantChanged as error:
            messages.error(request, _(str(error.public)))
            return redirect("grant-revoke", ref=ref)
        except AlreadyDecided as error:
            messages.error(request, _(str(error.public)))
            return redirect("grant", ref=ref)
        said = _("Taken back. %(agent)s may no longer do this at %(resource)s.")
        messages.success(request, said % {"agent": grant.agent.name, "resource": grant.resource.name})
        return _back(grant, person)
    context = {"grant": grant, "may": _may(grant), "preview": _preview(revoking(grant), person, now=now)}
    return render(request, "grants/revoke.html", context)


def _seen(request: HttpRequest) -> int | None:
    """Return the version that the page showed; None where nothing readable came along, as from a plain POST."""
    text = request.POST.get("seen", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _endable(person: User, ref: str) -> DelegationGrant:
    grant = get_object_or_404(visible_to(person), ref=ref)
    if not may_end(person, grant):
        raise PermissionDenied
    return grant


def _may(grant: DelegationGrant) -> str:
    return may(grant, titles_of([grant]).get(grant.resource_id, {}))


def _back(grant: DelegationGrant, person: User) -> HttpResponseRedirect:
    """Go where the person takes care of it: their agents, or the grant's page."""
    is_own = grant.from_person_id == person.pk
    return HttpResponseRedirect(reverse("my-agents") if is_own else reverse("grant", args=[grant.ref]))


def _preview(changes: tuple[Change, ...], person: User, *, now: datetime) -> Preview:
    first, *below = changes
    impact, kept = impact_of(changes, now=now), standing.kept_besides(changes, now=now)
    seen = seen_among(person, impact.requests)
    open_to = set(visible_to(person).filter(pk__in=[grant.pk for grant in kept]).values_list("pk", flat=True))
    return Preview(
        impact=impact,
        changed=list(changes_of(first.before, first.after)) if first.after else [],
        lesser=[(each.before, list(changes_of(each.before, each.after))) for each in below if each.after],
        asked=[request for request in impact.requests if request.pk in seen],
        others=len(impact.requests) - len(seen),
        kept=[grant for grant in kept if grant.pk in open_to],
        elsewhere=len(open_to) < len(kept),
    )
