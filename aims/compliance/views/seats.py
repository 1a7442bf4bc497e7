"""The admin's pages of auditors' seats, and what a reader of the log has read: one's own for everybody who may read."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from aims.compliance.forms import LastsForm, SeatForm
from aims.compliance.views.frame import admins_only, readers_only, tabs
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people import queries, services
from aims.people.access import person_of
from aims.people.errors import FieldRefused
from aims.people.models import AuditSeat, User
from aims.people.views.answers import as_page, done
from audit import read


@require_safe
@admins_only
def seats(request: HttpRequest) -> HttpResponseBase:
    """List auditors' seats, the newest first."""
    found = queries.seats_page(before=request.GET.get("before", ""), limit=queries.PAGE_DEFAULT + 1)
    shown = found[: queries.PAGE_DEFAULT]
    older = f"?before={shown[-1].ref}" if len(found) > len(shown) else ""
    rows = [{"seat": seat, "is_open": _is_open(seat)} for seat in shown]
    values = {"rows": rows, "older": older, "tabs": tabs(person_of(request), "seats")}
    return render(request, "compliance/seats.html", values)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@admins_only
def new_seat(request: HttpRequest) -> HttpResponseBase:
    """Open a seat; the enrolment link of who has no passkey yet is shown once, on the answer to the form."""
    now = clock.now()
    form = SeatForm(request.POST or None, initial={"agents": _named(request)})
    if not form.is_valid():
        return _form(request, form)
    email = form.cleaned_data["email"]
    try:
        seat, token = services.open_seat(
            email, form.terms(now), name=form.cleaned_data["name"], by=person_of(request).ref, now=now
        )
    except AimsError as error:
        form.add_error(None, _(error.public))
        return _form(request, form)
    if not token:
        return done(
            request, _("The seat is open. They sign in with their passkey."), f"/compliance/auditors/{seat.ref}/"
        )
    answer = render(request, "people/link.html", {"link": f"{settings.ISSUER}/join/{token}/", "email": email})
    answer["Referrer-Policy"] = "no-referrer"
    return answer


@require_safe
@admins_only
def seat(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Show one seat: what it opens, until when, and what was read from it."""
    found = _found(ref)
    shown = {
        "seat": found,
        "is_open": _is_open(found),
        "opened_by": queries.names_of([found.opened_by]).get(found.opened_by, found.opened_by),
        "form": LastsForm(),
        **_reading(request, found.person),
    }
    return render(request, "compliance/seat.html", shown)


@require_POST
@never_cache
@admins_only
@as_page
def prolong(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Let a seat last longer."""
    found, form, now = _found(ref), LastsForm(request.POST), clock.now()
    if not form.is_valid():
        raise FieldRefused
    until_at = now + timedelta(days=form.cleaned_data["days"])
    services.prolong_seat(found, until_at=until_at, by=person_of(request).ref, now=now)
    return done(request, _("The seat lasts longer now."), f"/compliance/auditors/{ref}/")


@require_POST
@never_cache
@admins_only
@as_page
def end(request: HttpRequest, ref: str) -> HttpResponseBase:
    """End a seat now."""
    services.end_seat(_found(ref), by=person_of(request).ref, now=clock.now())
    return done(request, _("The seat is closed."), f"/compliance/auditors/{ref}/")


@require_safe
@readers_only
def reading(request: HttpRequest) -> HttpResponseBase:
    """Show what one has read and taken oneself, and what one's seat opens."""
    person = person_of(request)
    found = queries.seat_of(person)
    values = {"seat": found, "tabs": tabs(person, "reading"), **_reading(request, person)}
    return render(request, "compliance/reading.html", values)


def _reading(request: HttpRequest, person: User) -> dict[str, object]:
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    entries = read.readings(person.ref, before=before)
    older = f"?before={entries[-1].index}" if len(entries) == read.PAGE_DEFAULT else ""
    return {"entries": entries, "older": older}


def _form(request: HttpRequest, form: SeatForm) -> HttpResponse:
    return render(request, "compliance/seat_new.html", {"form": form}, status=422 if form.errors else 200)


def _found(ref: str) -> AuditSeat:
    found: AuditSeat = get_object_or_404(AuditSeat.objects.select_related("person", "holding"), ref=ref)
    return found


def _is_open(seat: AuditSeat) -> bool:
    return seat.closed_at is None and (seat.until_at is None or seat.until_at > clock.now())


def _named(request: HttpRequest) -> str:
    """Return the identifier of the agent that the page before was about. Raises Http404."""
    ref = request.GET.get("agent")
    if not ref:
        return ""
    agent = Agent.objects.filter(ref=ref).first()
    if agent is None:
        raise Http404
    return agent.identifier
