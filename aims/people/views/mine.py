"""One's own page: profile, passkeys, sessions."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from aims.kit import clock
from aims.people import queries, services
from aims.people.access import person_of, signed_in
from aims.people.errors import FieldRefused
from aims.people.forms import KeyNameForm, ProfileForm
from aims.people.models import Passkey, SignedInSession, User
from aims.people.views.answers import as_json, as_page, done


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@as_page
def profile(request: HttpRequest) -> HttpResponseBase:
    """Show and change one's name, language and time zone."""
    person = person_of(request)
    now = clock.now()
    form = ProfileForm(
        request.POST or None, initial={field: getattr(person, field) for field in ProfileForm.base_fields}
    )
    if form.is_valid():
        services.change_profile(person, by=person.ref, now=now, **form.cleaned_data)
        return done(request, _("Saved."), "/me/")
    shown = {
        "form": form,
        "person": person,
        "roles": sorted(queries.roles_held(person, at=now)),
        "groups": queries.groups_of(person, at=now),
    }
    return render(request, "me/profile.html", shown)


@require_GET
@signed_in
def passkeys(request: HttpRequest) -> HttpResponseBase:
    """List one's passkeys."""
    keys = queries.passkeys_of(person_of(request))
    return render(request, "me/passkeys.html", {"keys": keys, "is_last": len(keys) == 1, "now": clock.now()})


@require_POST
@signed_in
@as_json
def begin_adding(request: HttpRequest) -> HttpResponseBase:
    """Give the two ceremonies of adding a passkey."""
    bound_to = str(request.session.session_key)
    return JsonResponse(services.begin_adding(person_of(request), bound_to=bound_to, now=clock.now()))


@require_POST
@signed_in
@as_json
def finish_adding(request: HttpRequest) -> HttpResponseBase:
    """Add a passkey."""
    services.add_passkey(
        person_of(request),
        request.POST.get("assertion", ""),
        request.POST.get("credential", ""),
        key_name=request.POST.get("key_name", ""),
        bound_to=str(request.session.session_key),
        now=clock.now(),
    )
    return JsonResponse({"next": "/me/passkeys/"})


@require_POST
@signed_in
@as_page
def rename_passkey(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Give one of one's passkeys another name."""
    person = person_of(request)
    form = KeyNameForm(request.POST)
    if not form.is_valid():
        raise FieldRefused
    services.rename_passkey(_my_key(person, ref), form.cleaned_data["key_name"], by=person.ref, now=clock.now())
    return done(request, _("Renamed."), "/me/passkeys/")


@require_POST
@signed_in
@as_page
def end_passkey(request: HttpRequest, ref: str) -> HttpResponseBase:
    """End one of one's passkeys, never the last."""
    person = person_of(request)
    services.end_passkey(_my_key(person, ref), by=person.ref, now=clock.now())
    return done(request, _("The passkey no longer works, and what it had signed in was signed out."), "/me/passkeys/")


@require_GET
@signed_in
def sessions(request: HttpRequest) -> HttpResponseBase:
    """List one's sessions."""
    shown = {"sessions": queries.sessions_of(person_of(request)), "current": request.session.session_key}
    return render(request, "me/sessions.html", shown)


@require_POST
@signed_in
def end_session(request: HttpRequest, ref: str) -> HttpResponseBase:
    """End one of one's sessions."""
    person = person_of(request)
    session = SignedInSession.objects.filter(person=person, ref=ref).first()
    if session is None:
        raise Http404
    services.end_session(session, by=person.ref, now=clock.now())
    return HttpResponseRedirect("/me/sessions/")


def _my_key(person: User, ref: str) -> Passkey:
    key = person.passkeys.filter(ref=ref, ended_at=None).first()
    if key is None:
        raise Http404
    return key
