"""The pages of consents: the list, one as a sheet that one reads and signs, and what changes it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from aims.compliance import queries
from aims.compliance.consent_bytes import parse_context
from aims.compliance.kinds import ConsentKind, Reason
from aims.compliance.models import Consent
from aims.compliance.services import consents
from aims.compliance.states import OPEN
from aims.compliance.views.frame import readers_only, tabs
from aims.compliance.words import state_tone, state_word
from aims.kit import clock
from aims.people.access import person_of
from aims.people.models import Role
from aims.people.views.answers import as_json, as_page, done
from audit.read import scope_of


@require_safe
@readers_only
def consent_list(request: HttpRequest) -> HttpResponseBase:
    """List consents, the newest first."""
    person = person_of(request)
    if not scope_of(person).is_whole:
        raise Http404
    found = queries.consents_page(person, before=request.GET.get("before", ""), limit=queries.PAGE_DEFAULT + 1)
    shown = found[: queries.PAGE_DEFAULT]
    older = f"?before={shown[-1].ref}" if len(found) > len(shown) else ""
    rows = [{"consent": row, "title": _title(row), "word": state_word(row), "tone": state_tone(row)} for row in shown]
    return render(request, "compliance/consents.html", {"rows": rows, "older": older, "tabs": tabs(person, "consents")})


@require_safe
@readers_only
def consent(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Show one consent: exactly what will happen, from the bytes that are signed."""
    person, now, found = person_of(request), clock.now(), _found(request, ref)
    said = queries.statement_of(found)
    is_open = found.state in {str(state) for state in OPEN} and found.expires_at > now
    waits = is_open and found.state == "asked"
    shown = {
        "consent": found,
        "said": said,
        "title": _title(found),
        "lines": queries.lines_of(found),
        "reason": Reason(said.reason).label,
        "is_final": queries.spec_of(found).is_final,
        "statement": bytes(found.statement).decode(),
        "context": bytes(found.context).decode() if found.context else "",
        "signed": parse_context(bytes(found.context)) if found.context else None,
        "vouched_by_asker": found.passkey is not None and found.passkey.vouched_by == found.asked_by.ref,
        "word": state_word(found, is_over=not is_open),
        "tone": state_tone(found, is_over=not is_open),
        "is_open": is_open,
        "waits": waits,
        "why_not": queries.why_not(found, person, now=now) if waits else None,
        "may_deny": is_open and queries.why_not_entitled(found, person, now=now) is None,
        "may_do": is_open and found.state == "confirmed" and person.has_role(Role.ADMIN),
        "is_mine": found.asked_by_id == person.pk,
    }
    return render(request, "compliance/consent.html", shown)


@require_POST
@readers_only
@as_json
def begin(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Give the browser what this person may sign."""
    found = _found(request, ref)
    options = consents.prepare(
        found,
        person=person_of(request),
        session_key=str(request.session.session_key),
        locale=str(get_language()),
        now=clock.now(),
    )
    return JsonResponse(options)


@require_POST
@readers_only
@as_json
def finish(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Take the passkey's answer."""
    found = _found(request, ref)
    consents.confirm(
        found,
        person=person_of(request),
        session_key=str(request.session.session_key),
        response=request.POST.get("credential", ""),
        now=clock.now(),
    )
    return JsonResponse({"next": f"/compliance/consents/{found.ref}/"})


@require_POST
@never_cache
@readers_only
@as_page
def deny(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Refuse it, also after somebody has signed and before it is used."""
    found = _found(request, ref)
    consents.deny(found, person=person_of(request), now=clock.now())
    return done(request, _("You refused. It will not happen."), f"/compliance/consents/{found.ref}/")


@require_POST
@never_cache
@readers_only
@as_page
def withdraw(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Take back what one asked."""
    found = _found(request, ref)
    consents.withdraw(found, person=person_of(request), now=clock.now())
    return done(request, _("Withdrawn. It will not happen."), f"/compliance/consents/{found.ref}/")


def _found(request: HttpRequest, ref: str) -> Consent:
    found: Consent = get_object_or_404(queries.consents_visible_to(person_of(request)), ref=ref)
    return found


def _title(consent: Consent) -> str:
    return str(ConsentKind(consent.kind).label)
