"""Signing in, signing out, and enrolling by a link."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from aims.kit import clock
from aims.kit.address import address_of
from aims.people import queries, services
from aims.people.access import person_of, signed_in
from aims.people.errors import FieldRefused, LinkUnusable
from aims.people.forms import JoinForm
from aims.people.models import Passkey, SignedInSession
from aims.people.views.answers import as_json, as_page


@require_GET
@never_cache
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """Show one button, or go on where somebody is signed in already, unless a fresh sign-in is wanted (``again``)."""
    going = _next_of(request, request.GET.get("next", ""))
    if request.user.is_authenticated and "again" not in request.GET:
        return HttpResponseRedirect(going)
    return render(request, "sign_in/sign_in.html", {"next": going, "is_again": request.user.is_authenticated})


@require_POST
@as_json
def begin_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Give the options of a sign-in, bound to this browser's session."""
    if request.session.session_key is None:
        request.session.create()
    bound_to = str(request.session.session_key)
    return JsonResponse(services.begin_sign_in(bound_to=bound_to, source=address_of(request), now=clock.now()))


@require_POST
@as_json
def finish_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Verify the passkey's answer and open the session."""
    key = services.finish_sign_in(
        request.POST.get("credential", ""),
        bound_to=str(request.session.session_key),
        source=address_of(request),
        now=clock.now(),
    )
    _open_session(request, key)
    return JsonResponse({"next": _next_of(request, request.POST.get("next", ""))})


@require_POST
@signed_in
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End this session."""
    session = SignedInSession.objects.filter(session_key=request.session.session_key).first()
    if session is not None:
        services.end_session(session, by=person_of(request).ref, now=clock.now())
    logout(request)
    return HttpResponseRedirect(settings.LOGIN_URL)


@sensitive_variables("token")
@require_GET
@never_cache
@as_page
def join(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show who the link is for. It changes nothing: mail scanners open links too."""
    invitation = queries.usable_invitation(token, now=clock.now())
    if invitation is None:
        raise LinkUnusable
    person = invitation.person
    form = JoinForm(initial={"name": person.name, "time_zone": person.time_zone})
    shown = {"form": form, "person": person, "is_recovery": person.passkeys.exists()}
    return _no_referrer(render(request, "join/join.html", shown))


@sensitive_variables("token")
@require_POST
@as_json
def begin_joining(request: HttpRequest, token: str) -> HttpResponseBase:
    """Give the options of an enrolment."""
    return _no_referrer(JsonResponse(services.begin_enrolment(token, now=clock.now())))


@sensitive_variables("token")
@require_POST
@as_json
def finish_joining(request: HttpRequest, token: str) -> HttpResponseBase:
    """Register the key, use the link up, and sign the person in with it."""
    form = JoinForm(request.POST)
    if not form.is_valid():
        raise FieldRefused
    clean = form.cleaned_data
    key = services.enrol(
        token,
        request.POST.get("credential", ""),
        key_name=clean["key_name"],
        now=clock.now(),
        name=clean["name"],
        time_zone=clean["time_zone"],
    )
    _open_session(request, key)
    return _no_referrer(JsonResponse({"next": "/"}))


def _open_session(request: HttpRequest, key: Passkey) -> None:
    # login() gives the session a new key, so that one which was planted before is worth nothing.
    login(request, key.person, backend=settings.AUTHENTICATION_BACKENDS[0])
    session_key = str(request.session.session_key)
    agent = request.headers.get("User-Agent", "")
    source = address_of(request)
    services.start_session(key, session_key=session_key, user_agent=agent, source=source, now=clock.now())


def _next_of(request: HttpRequest, wanted: str) -> str:
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=request.is_secure())
    return wanted if is_ours and wanted.startswith("/") else "/"


def _no_referrer(answer: HttpResponse) -> HttpResponse:
    answer["Referrer-Policy"] = "no-referrer"
    return answer
