"""The inbox for people: a list, a card, two decisions. And the receipt as a page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.response import Http404
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_GET, require_POST, require_safe

from aims.authorization import cards
from aims.authorization.models import ApprovalRequest
from aims.authorization.queries import decided_today, goes_on_at, inbox_of, request_for, waiting_count
from aims.authorization.states import OPEN
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.kit.ids import unb64url
from aims.people.access import person_of, signed_in
from approvals import queries, services, sheet
from approvals.context import challenge_of
from approvals.models import PreparedContext
from approvals.receipts import MEDIA_TYPE
from audit.canonical import decode
from audit.read import scope_of


@dataclass(frozen=True)
class _Shown:
    """A card with how it stands: everything its template needs."""

    request: ApprovalRequest
    card: cards.Card
    standing: queries.Standing
    yes: PreparedContext | None
    no: PreparedContext | None


@require_safe
@signed_in
def inbox(request: HttpRequest) -> HttpResponse:
    """The list; beside it, on a wide page, the card of the most urgent request."""
    now = clock.now()
    first = next(iter(inbox_of(person_of(request))), None)
    return _page(request, first, view="list", now=now)


@require_safe
@signed_in
def one(request: HttpRequest, ref: str) -> HttpResponse:
    """One card; on a phone without the list."""
    return _page(request, _readable(request, ref), view="card", now=clock.now())


@require_safe
@signed_in
def list_part(request: HttpRequest) -> HttpResponseBase:
    """The list alone, for the page that heard a bell. Its ETag says whether anything changed."""
    values = _list_values(request, request.GET.get("at", ""), clock.now()) | {"view": request.GET.get("view", "")}
    return _conditional(request, "approvals/_list.html", values, etag_of=repr(values))


@require_safe
@signed_in
def count(request: HttpRequest) -> HttpResponse:
    """How many wait, as the frame of every page shows it; nothing for none."""
    answer = HttpResponse(str(waiting_count(person_of(request)) or ""))
    answer["Cache-Control"] = "no-store"
    return answer


@require_safe
@signed_in
def card_part(request: HttpRequest, ref: str) -> HttpResponseBase:
    """The card alone, for the page that heard a bell."""
    now = clock.now()
    shown = _shown(request, _readable(request, ref), now)
    return _conditional(request, "approvals/_card.html", _card_values(request, shown), etag_of=_card_tag(shown))


@require_POST
@signed_in
def approve(request: HttpRequest, ref: str) -> HttpResponse:
    """Take the passkey's answer. The texts of refusals are written here; the element only shows them."""
    asked = _readable(request, ref)
    try:
        services.approve(
            asked, person=person_of(request), session_key=_session_key(request), response=request.body, now=clock.now()
        )
    except AimsError as refusal:
        return JsonResponse({"code": refusal.code, "text": str(refusal.public)}, status=refusal.status)
    return JsonResponse({"next": _after(request, asked)})


@require_POST
@signed_in
def deny(request: HttpRequest, ref: str) -> HttpResponse:
    """Take a no: from the form with one tap, or signed, as JSON from the passkey."""
    asked = _readable(request, ref)
    is_signed = request.content_type == "application/json"
    try:
        services.deny(
            asked,
            person=person_of(request),
            session_key=_session_key(request),
            response=request.body if is_signed else None,
            now=clock.now(),
        )
    except AimsError as refusal:
        if is_signed:
            return JsonResponse({"code": refusal.code, "text": str(refusal.public)}, status=refusal.status)
        messages.error(request, str(refusal.public))
        return redirect("inbox-one", ref=asked.ref)
    going = _after(request, asked)
    return JsonResponse({"next": going}) if is_signed else redirect(going)


@require_GET
@signed_in
def receipt(request: HttpRequest, ref: str) -> HttpResponse:
    """The receipt, readable, with the way to check it without us."""
    found = queries.receipt_for(person_of(request), ref)
    if found is None:
        raise Http404
    claims = decode(_payload(found.jws))
    values = {
        "receipt": found,
        "asked": found.request,
        "card": cards.card(bytes(found.request.statement)),
        "claims": claims,
        "may_read_log": _may_read_log(request, found.request),
        "approved_until": datetime.fromtimestamp(claims["approved_until"], timezone.get_current_timezone()),
        "decisions": found.request.decisions.filter(decision="approve").select_related("person", "passkey"),
    }
    return render(request, "approvals/receipt.html", values)


@require_GET
@signed_in
def receipt_file(request: HttpRequest, ref: str) -> HttpResponse:
    """The receipt's exact bytes as a file."""
    found = queries.receipt_for(person_of(request), ref)
    if found is None:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{found.ref}.jwt"', "Cache-Control": "no-store"}
    return HttpResponse(found.jws, content_type=MEDIA_TYPE, headers=headers)


# -- what the pages are made of --------------------------------------------------------------------------


def _readable(request: HttpRequest, ref: str) -> ApprovalRequest:
    asked = request_for(person_of(request), ref)
    if asked is None:
        raise Http404
    return asked


def _may_read_log(request: HttpRequest, asked: ApprovalRequest) -> bool:
    return scope_of(person_of(request)).covers_agent(asked.agent.identifier)


def _after(request: HttpRequest, asked: ApprovalRequest) -> str:
    """Return where the reader goes after a decision: back to the agent that sent them here, else to the card."""
    return _goes_on_at(request, asked) or f"/inbox/{asked.ref}/"


def _goes_on_at(request: HttpRequest, asked: ApprovalRequest) -> str | None:
    return goes_on_at(asked, person_of(request), session_key=_session_key(request))


def _session_key(request: HttpRequest) -> str:
    return request.session.session_key or ""


def _page(request: HttpRequest, asked: ApprovalRequest | None, *, view: str, now: datetime) -> HttpResponse:
    values = _list_values(request, asked.ref if asked else "", now) | {"view": view}
    if asked is not None:
        shown = _shown(request, asked, now)
        values |= _card_values(request, shown) | {"card_tag": _quoted(_card_tag(shown))}
    response = render(request, "approvals/inbox.html", values)
    response["Cache-Control"] = "no-store"
    return response


def _list_values(request: HttpRequest, at: str, now: datetime) -> dict[str, Any]:
    waiting = inbox_of(person_of(request))
    over = decided_today(person_of(request))
    prefetch_related_objects([*waiting, *over], "decisions__person")  # once for all rows
    refs = [asked.ref for asked in waiting]
    return {
        "waiting": [sheet.line_of(asked, person=person_of(request), now=now) for asked in waiting],
        "over": [sheet.line_of(asked, person=person_of(request), now=now) for asked in over],
        "at": at,
        "place": refs.index(at) + 1 if at in refs else 0,
    }


def _shown(request: HttpRequest, asked: ApprovalRequest, now: datetime) -> _Shown:
    card = cards.card(bytes(asked.statement))
    standing = queries.standing_of(asked, person_of(request), now=now)
    if not standing.may_decide:
        return _Shown(asked, card, standing, None, None)
    prepare = partial(
        services.prepare,
        asked,
        person=person_of(request),
        session_key=_session_key(request),
        card=card,
        locale=sheet.LOCALE,
        now=now,
    )
    # Without a usable key nothing can be signed; an unsigned no needs no context.
    yes, no = (prepare(decision=word) if standing.passkeys else None for word in ("approve", "deny"))
    return _Shown(asked, card, standing, yes, no)


def _card_values(request: HttpRequest, shown: _Shown) -> dict[str, Any]:
    asked, standing = shown.request, shown.standing
    return {
        "asked": asked,
        "card": shown.card,
        "facts": sheet.facts_of(shown.card),
        "why": sheet.why_of(shown.card),
        "standing": standing,
        "outcome": sheet.outcome_of(asked, standing, person_of(request)),
        "is_mine": asked.subject_id == person_of(request).pk,
        "statement": bytes(asked.statement).decode(),
        "yes": shown.yes,
        "context": bytes(shown.yes.context).decode() if shown.yes else "",
        "challenge": challenge_of(bytes(shown.yes.context)).hex() if shown.yes else "",
        "yes_options": sheet.options_for(shown.yes, standing.passkeys) if shown.yes else "",
        "no_options": sheet.options_for(shown.no, standing.passkeys) if shown.no else "",
        "door": getattr(asked, "backchannel", None),
        "receipt_ref": asked.receipt_ref,
        "may_read_log": _may_read_log(request, asked),
        "goes_on_at": _goes_on_at(request, asked) if standing.state not in OPEN else None,
    }


def _card_tag(shown: _Shown) -> str:
    """Everything that makes the card another one; not the live line, which ages by itself."""
    contexts = [bytes(one.challenge).hex() for one in (shown.yes, shown.no) if one is not None]
    keys = [passkey.ref for passkey in shown.standing.passkeys]
    return repr(
        (shown.request.ref, shown.standing.state, shown.standing.yeses, shown.request.agent.state, contexts, keys)
    )


def _conditional(request: HttpRequest, template: str, values: dict[str, Any], *, etag_of: str) -> HttpResponseBase:
    etag = _quoted(etag_of)
    answer = get_conditional_response(request, etag=etag) or render(request, template, values)
    answer["ETag"] = etag
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _quoted(text: str) -> str:
    return f'"{hashlib.sha256(b"approvals-etag/v1" + text.encode()).hexdigest()[:32]}"'


def _payload(jws: str) -> bytes:
    return unb64url(jws.split(".")[1])
