"""The page of what is kept and what ends: retention, legal holds, erasures. What destroys asks a second person first."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from aims.compliance import queries
from aims.compliance.errors import ActionUnknown, ConsentMissing, NoteRefused, RetentionRefused
from aims.compliance.forms import AskForm, EraseForm, HoldForm, RetentionForm
from aims.compliance.kinds import ConsentKind
from aims.compliance.services import consents, keeping
from aims.compliance.views.frame import admins_only, readers_only, tabs
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of
from aims.people.queries import names_of
from aims.people.views.answers import as_page, done
from audit import keep
from audit.read import scope_of

PATH = "/compliance/keeping/"
PAGE_MAX = 200


@require_safe
@never_cache
@readers_only
def overview(request: HttpRequest) -> HttpResponseBase:
    """Show how long the log is kept and what goes next, which holds are in force, and who was erased."""
    person = person_of(request)
    if not scope_of(person).is_whole:
        raise Http404
    return render(request, "compliance/keeping.html", _shown(request, person.has_role("admin")))


@require_POST
@never_cache
@admins_only
@as_page
def retention(request: HttpRequest) -> HttpResponseBase:
    """Keep the log for longer, at once; for a shorter time, ask a second person."""
    form = RetentionForm(request.POST)
    if not form.is_valid():
        raise RetentionRefused
    months, kept = form.cleaned_data["months"], keep.kept().months
    if months >= kept:
        keeping.keep_longer(months, by=person_of(request).ref)
        return done(request, _("The log is kept for %(n)s months now.") % {"n": months}, PATH)
    return _asked(request, ConsentKind.RETENTION_SHORTEN, {"months_before": kept, "months": months}, form)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@admins_only
def place_hold(request: HttpRequest) -> HttpResponseBase:
    """Place a legal hold, at once."""
    form = HoldForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            keeping.place_hold(**form.told(), by=person_of(request).ref, now=clock.now())
        except AimsError as error:
            form.add_error(None, _(error.public))
        else:
            return done(request, _("The hold is in force. Nothing it touches can be erased or go by retention."), PATH)
    return render(request, "compliance/hold_new.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@never_cache
@admins_only
@as_page
def release_hold(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Ask a second person to agree to the release of a hold."""
    return _asked(request, ConsentKind.HOLD_RELEASE, {"hold": ref}, AskForm(request.POST))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@admins_only
def ask_erasure(request: HttpRequest) -> HttpResponseBase:
    """Ask a second person to agree to the erasure of somebody."""
    form = EraseForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        params = {"person": form.cleaned_data["person"].ref, "basis": form.cleaned_data["basis"]}
        try:
            keeping.refuse_held(params["person"])
            return _asked(request, ConsentKind.PERSON_ERASE, params, form)
        except AimsError as error:
            form.add_error(None, _(error.public))
    return render(request, "compliance/erase.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@never_cache
@admins_only
@as_page
def carry_out(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Do what a second person has agreed to: exactly that, once."""
    person, now = person_of(request), clock.now()
    consent = queries.consents_visible_to(person).filter(ref=ref).first()
    if consent is None:
        raise ConsentMissing(detail=ref[:40])
    keeping.carry_out(consent, by=person.ref, now=now)
    return done(request, _("Done."), PATH)


def _asked(request: HttpRequest, kind: ConsentKind, params: dict[str, Any], form: AskForm) -> HttpResponse:
    if not form.is_valid():
        raise (ActionUnknown if "reason" in form.errors else NoteRefused)()
    reason, note = form.cleaned_data["reason"], form.cleaned_data["note"]
    consent = consents.ask(kind, params, reason=reason, note=note, by=person_of(request), now=clock.now())
    return HttpResponseRedirect(f"/compliance/consents/{consent.ref}/")


def _shown(request: HttpRequest, is_admin: bool) -> dict[str, Any]:
    now, kept = clock.now(), keep.kept()
    due = keep.next_due(now)
    held = list(keep.holds_in_force()[:PAGE_MAX])
    erasures = list(keep.Erasure.objects.order_by("-begun_at", "-pk")[:PAGE_MAX])
    names = names_of(
        {each.placed_by for each in held} | {each.by for each in erasures} | {each.person for each in held}
    )
    return {
        "tabs": tabs(person_of(request), "keeping"),
        "kept": kept,
        "due": due,
        "month": due and f"{due.month.year:04d}-{due.month.month:02d}",
        "last": due and due.end - 1,
        "gone": list(keep.Gone.objects.order_by("-end")[:24]),
        "holds": [
            (each, names.get(each.placed_by, each.placed_by), names.get(each.person, each.person)) for each in held
        ],
        "erasures": [(each, names.get(each.by, each.by)) for each in erasures],
        "is_admin": is_admin,
        "retention_form": RetentionForm(initial={"months": kept.months}),
        "ask_form": AskForm(auto_id=False),
    }
