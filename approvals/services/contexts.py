"""Prepares what one person may sign: one context for each session, request and decision."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from aims.authorization import cards
from aims.authorization.models import ApprovalRequest
from aims.people.models import User
from approvals import context
from approvals.models import PreparedContext

REUSE_MARGIN = timedelta(seconds=60)


def prepare(
    request: ApprovalRequest,
    *,
    person: User,
    session_key: str,
    decision: str,
    card: cards.Card,
    locale: str,
    now: datetime,
) -> PreparedContext:
    """Return the context that this person may sign in this session for this decision; the same one on reload.

    One that is about to expire, or that names another rendering, is replaced: its challenge is then worth nothing.
    """
    rendering_hash = cards.rendering_hash(card, locale=locale)
    mine = {"request": request, "person": person, "session_key": session_key, "decision": decision}
    while True:
        fresh = _context_for(request, person, decision, locale, rendering_hash, now)
        prepared, _made = PreparedContext.objects.get_or_create(**mine, defaults=fresh)
        if _is_reusable(prepared, request, rendering_hash, now):
            return prepared
        PreparedContext.objects.filter(pk=prepared.pk, challenge=prepared.challenge).delete()


def _context_for(
    request: ApprovalRequest, person: User, decision: str, locale: str, rendering_hash: str, now: datetime
) -> dict[str, Any]:
    # Whole seconds, as C says them: what is signed in the fraction after would be worth nothing to a verifier.
    expires_at = min(request.expires_at, now + timedelta(seconds=context.LIFETIME_MAX_S)).replace(microsecond=0)
    raw = context.build(
        context.Context(
            request_hash=request.request_hash,
            decision=decision,
            approver=person.ref,
            nonce=secrets.token_bytes(context.NONCE_BYTES),
            rp_id=settings.RP_ID,
            locale=locale,
            rendering_hash=rendering_hash,
            iat=int(now.timestamp()),
            exp=int(expires_at.timestamp()),
        )
    )
    return {"context": raw, "challenge": context.challenge_of(raw), "expires_at": expires_at}


def _is_reusable(prepared: PreparedContext, request: ApprovalRequest, rendering_hash: str, now: datetime) -> bool:
    if context.parse(bytes(prepared.context)).rendering_hash != rendering_hash:
        return False
    return prepared.expires_at > now + REUSE_MARGIN or now < prepared.expires_at == request.expires_at
