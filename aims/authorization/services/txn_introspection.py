"""Whether a transaction token still counts, for the resource servers of our trust domain. Spec: RFC 7662 §2.2."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import spend
from aims.authorization.events import TokenUsed
from aims.authorization.models import AccessToken, TokenKind
from aims.authorization.services.exchange.transactions import claims_in
from aims.authorization.services.tokens import POSTURE_UNKNOWN
from aims.kit.ids import digest
from audit.write import Facts, record


def introspect(client: Client, token: str, *, now: datetime) -> dict[str, Any] | None:
    """Return what a transaction token says if it counts, that it does not, or None if this is no transaction token.

    Only where the caller asks for this kind: who takes any active token for an access token never sees one here.
    The proof is spent unless the answer is None.
    """
    row = AccessToken.of_every_kind.filter(token_checksum=digest(token), kind=TokenKind.TXN).first()
    if row is None:
        return None
    with transaction.atomic():
        spend(client.proof)
        locked = AccessToken.of_every_kind.select_for_update(of=("self",), no_key=True).select_related("agent")
        held = locked.get(pk=row.pk)
        if not _is_in_trust_domain(client) or not all(each.is_sound for each in held.chain()):
            return {"active": False}
        record(TokenUsed(jti=str(held.jti), request=None), by=client.identifier, facts=_facts(held))
    return {"active": True, "token_type": "N_A"} | claims_in(token)


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
