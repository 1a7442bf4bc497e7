"""Whether a transaction token still counts, for the resource servers of our trust domain. Spec: RFC 7662 §2.2."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authorization.events import TokenUsed
from aims.authorization.models import AccessToken, TokenKind
from aims.authorization.services import gathering
from aims.authorization.services.exchange.transactions import claims_in
from aims.authorization.services.tokens import POSTURE_UNKNOWN
from aims.authorization.services.using import Use
from aims.kit.ids import digest
from audit.write import Facts, inbox_payload, record


def introspect(client: Client, token: str, *, now: datetime) -> dict[str, Any] | None:
    """Return what a transaction token says if it counts, that it does not, or None if this is no transaction token.

    Only where the caller asks for this kind: who takes any active token for an access token never sees one here.
    The proof is spent unless the answer is None.
    """
    found = AccessToken.of_every_kind.filter(token_checksum=digest(token), kind=TokenKind.TXN)
    row = found.select_related("agent").first()
    if row is None:
        return None
    is_for_them = _is_in_trust_domain(client)
    asked = _use_of(row, client, now=now) if is_for_them and _counts(row) else Use(proof=client.proof, now=now)
    if gathering.use(asked) or (asked.token and _is_used_after_all(row, client)):
        return {"active": True, "token_type": "N_A"} | claims_in(token)
    return {"active": False}


def _use_of(row: AccessToken, client: Client, *, now: datetime) -> Use:
    event = TokenUsed(jti=str(row.jti), request=None)
    return Use(
        proof=client.proof,
        now=now,
        token=row.pk,
        payload=inbox_payload(event, by=client.identifier, facts=_facts(row)),
    )


def _is_used_after_all(row: AccessToken, client: Client) -> bool:
    """Wait for who is ending the token, and look again."""
    with transaction.atomic():
        locked = AccessToken.of_every_kind.select_for_update(of=("self",), no_key=True).select_related("agent")
        held = locked.get(pk=row.pk)
        if not _counts(held):
            return False
        record(TokenUsed(jti=str(held.jti), request=None), by=client.identifier, facts=_facts(held))
    return True


def _counts(row: AccessToken) -> bool:
    return all(each.is_sound for each in row.chain())


def _is_in_trust_domain(client: Client) -> bool:
    operator = client.resource.operator if client.resource else None
    return operator is not None and operator.trust_domain.name == settings.TRUST_DOMAIN


def _facts(row: AccessToken) -> Facts:
    assert row.agent is not None
    agent = str(row.agent.identifier)
    return Facts(
        agent=agent,
        subject=None if row.subject_ref == agent else row.subject_ref,
        resource=None,
        action=None,
        decision="allow",
        txn=row.txn,
        posture=POSTURE_UNKNOWN,
        remediation=None,
    )
