"""Whether an access token counts, for the resource server that it is for. Spec: RFC 7662 §2.2, §4."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authorization.models import AccessToken
from aims.authorization.services import gathering, tokens
from aims.authorization.services.using import Use
from aims.authorization.tokens import TokenFacts, claims_of, confirmation, token_type
from aims.identifier.models import AgentState
from aims.kit.ids import digest
from audit.write import inbox_payload


def introspect(client: Client, token: str, *, now: datetime) -> dict[str, Any]:
    """Return what a resource server may know of a token that is meant for it; else only that it is not active.

    Its proof is spent whatever the answer. That it asked about a live token is the use in the timeline of a task; both
    are written with whatever else comes just now. Raises ProofReplayed, Unavailable.
    """
    row = _live(token, audience=client.identifier, now=now)
    if gathering.use(_use_of(row, client, now=now)):
        assert row is not None
        return _described(row)
    # Not there, or somebody is ending it just now: then wait for them, and look again.
    row = row and _used_after_all(client, token, now=now)
    return {"active": False} if row is None else _described(row)


def _use_of(row: AccessToken | None, client: Client, *, now: datetime) -> Use:
    if row is None:
        return Use(proof=client.proof, now=now)
    event, facts = tokens.use_of(row)
    payload = inbox_payload(event, by=client.identifier, facts=facts)
    return Use(proof=client.proof, now=now, token=row.pk, payload=payload)


def _used_after_all(client: Client, token: str, *, now: datetime) -> AccessToken | None:
    with transaction.atomic():
        # Locked, so that no use is recorded after the entry that ended the token.
        row = _live(token, audience=client.identifier, now=now, is_locked=True)
        if row is not None:
            tokens.record_use(row, by=client.identifier)
        return row


def _live(token: str, *, audience: str, now: datetime, is_locked: bool = False) -> AccessToken | None:
    """Return the token's row if it holds now: for this audience, neither expired nor revoked, its agent active."""
    rows = AccessToken.objects.select_related("agent", "request", "code__user").filter(
        token_checksum=digest(token), audience=audience, expires__gt=now, revoked_at=None
    )
    if is_locked:
        rows = rows.select_for_update(of=("self",), no_key=True)
    found: AccessToken | None = rows.filter(agent__state=AgentState.ACTIVE).first()
    # Nobody in the chain may have been stopped: authority goes down it, and ends with whoever handed it on.
    return found if found and all(token.is_sound for token in found.chain()) else None


def _described(row: AccessToken) -> dict[str, Any]:
    assert row.issued_at is not None
    facts = TokenFacts(
        client_id=tokens.agent_of(row),
        subject=row.subject_ref,
        audience=row.audience,
        scope=row.scope,
        authorization_details=row.authorization_details or (),
        txn=row.txn,
        expires_at=row.expires,
        approval=tokens.approval_of(row.request) if row.request else None,
        subject_signed=_subject_signed(row),
        cnf=confirmation(row.jkt, row.x5t_s256),
        act=row.act,
        may_act=row.may_act,
    )
    claims = claims_of(facts, issuer=settings.ISSUER, jti=str(row.jti), now=row.issued_at)
    return {"active": True, "token_type": token_type(facts.cnf)} | claims


def _subject_signed(row: AccessToken) -> dict[str, Any] | None:
    if row.code:
        return row.code.signed_in
    return row.request.subject_signed if row.request else None
