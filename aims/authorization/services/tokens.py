"""Issuing and revoking access tokens, and what the log says about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import Proof, remember, spend
from aims.authorization.events import TokenIssued, TokenRefused, TokenRevoked, TokenUsed
from aims.authorization.models import AccessToken, ApprovalRequest, AuthorizationCode
from aims.authorization.services import trees
from aims.authorization.tokens import TYP, TokenFacts, approval_claim, claims_of, token_type
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.identifier.models import Agent
from aims.kit.ids import digest, new_ref
from audit.write import Facts, record

DESCENDANTS_MAX = 200  # named in one entry; the others are counted
POSTURE_UNKNOWN = "unknown"  # until attestation exists


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A signed token that counts for nothing until its row is stored."""

    token: str
    jti: str
    facts: TokenFacts
    agent: Agent
    request: ApprovalRequest | None
    now: datetime
    code: AuthorizationCode | None = None

    def response(self) -> dict[str, Any]:
        """Return the token response. Spec: RFC 6749 §5.1; RFC 9396 §7: details as granted."""
        body: dict[str, Any] = {
            "access_token": self.token,
            "token_type": token_type(self.facts.cnf),
            "expires_in": int((self.facts.expires_at - self.now).total_seconds()),
        }
        if self.facts.scope:
            body["scope"] = self.facts.scope
        if self.facts.authorization_details:
            body["authorization_details"] = list(self.facts.authorization_details)
        return body

    def values(self) -> dict[str, Any]:
        """Return the columns of its row, without the references to other rows. The token itself is never stored."""
        facts = self.facts
        return {
            "token_checksum": digest(self.token),
            "jti": self.jti,
            "subject_ref": facts.subject,
            "txn": facts.txn,
            "jkt": (facts.cnf or {}).get("jkt", ""),
            "x5t_s256": (facts.cnf or {}).get("x5t#S256", ""),
            "audience": facts.audience,
            "resource": [facts.audience],
            "scope": facts.scope,
            "authorization_details": list(facts.authorization_details) or None,
            "issued_at": self.now,
            "expires": facts.expires_at,
        }


def prepare(
    facts: TokenFacts,
    *,
    agent: Agent,
    request: ApprovalRequest | None,
    now: datetime,
    code: AuthorizationCode | None = None,
) -> Prepared:
    """Sign a token in memory. Nothing is stored: call ``save`` in the transaction that grants it, then answer.

    code: whose family it is of.
    """
    jti = new_ref("tok")
    claims = claims_of(facts, issuer=settings.ISSUER, jti=jti, now=now)
    token = signing.current(KeyPurpose.ACCESS_TOKEN).sign(claims, TYP)
    return Prepared(token=token, jti=jti, facts=facts, agent=agent, request=request, now=now, code=code)


def save(prepared: Prepared, *, actions: Sequence[str], policy_version: int, policies: Sequence[str]) -> None:
    """Store the token's row and its entry, in the caller's transaction."""
    insert(prepared)
    event, facts = entry_of(prepared, actions=actions, policy_version=policy_version, policies=policies)
    record(event, by=prepared.facts.client_id, facts=facts)


def insert(prepared: Prepared) -> None:
    """Store the token's row, in the caller's transaction."""
    row = AccessToken(agent=prepared.agent, request=prepared.request, code=prepared.code, **prepared.values())
    row.save(force_insert=True)


def entry_of(
    prepared: Prepared, *, actions: Sequence[str], policy_version: int, policies: Sequence[str]
) -> tuple[TokenIssued, Facts]:
    """Return what the log says about a token that is issued."""
    facts = prepared.facts
    event = TokenIssued(
        jti=prepared.jti,
        expires_at=int(facts.expires_at.timestamp()),
        policy_version=policy_version,
        policies=list(policies),
        detail_types=sorted({str(detail["type"]) for detail in facts.authorization_details}),
        request=prepared.request.ref if prepared.request else None,
    )
    return event, Facts(
        agent=facts.client_id,
        subject=None if facts.subject == facts.client_id else facts.subject,
        resource=facts.audience,
        action=",".join(actions),
        decision="allow",
        txn=facts.txn,
        posture=POSTURE_UNKNOWN,
        remediation=None,
    )


def refuse(
    client: Client, *, endpoint: str, code: str, reason: str, policies: Sequence[str], resource: str | None
) -> None:
    """Spend the proofs of a refused request and record the refusal, in a transaction of its own. Raises ProofReplayed."""
    with transaction.atomic():
        spend(client.proof)
        if client.key:  # a key's proof that was used before is no reason to keep silent about this refusal
            remember(client.key.proof)
        _record_refusal(
            endpoint, code, reason, policies, by=client.identifier, agent=client.proof.agent, resource=resource
        )


def note_refusal(
    *, endpoint: str, code: str, reason: str, by: str, agent: str | None, proofs: Sequence[Proof] = ()
) -> None:
    """Record a replay by someone whose signature is right. proofs: those that came along, spent now if they are not."""
    with transaction.atomic():
        for proof in proofs:
            remember(proof)
        _record_refusal(endpoint, code, reason, (), by=by, agent=agent, resource=None)


def record_use(row: AccessToken, *, by: str | None = None) -> None:
    """Record that a token was used, in the caller's transaction. by: who it was shown to; None for its own agent at ours."""
    event, facts = use_of(row)
    record(event, by=by or agent_of(row), facts=facts)


def use_of(row: AccessToken) -> tuple[TokenUsed, Facts]:
    """Return what the log says about a token that was used."""
    event = TokenUsed(jti=str(row.jti), request=row.request.ref if row.request else None)
    return event, _facts(row, agent_of(row), decision="allow", action=None)


def revoke(client: Client, token: str, *, now: datetime) -> bool:
    """Revoke a token of this client in the caller's transaction; return whether one was. Spec: RFC 7009 §2."""
    rows = AccessToken.of_every_kind.select_related("agent").filter(token_checksum=digest(token), agent=client.agent)
    if client.agent:
        trees.lock(rows)
    row = rows.filter(revoked_at=None).first() if client.agent else None
    if row is None or rows.filter(revoked_at=None).update(revoked_at=now) != 1:
        return False
    under = trees.below([row], now=now)
    AccessToken.of_every_kind.filter(pk__in=[each.pk for each in under]).update(revoked_at=now)
    facts = _facts(row, client.identifier, decision="not_applicable", action=None, remediation="revoked-by-client")
    event = TokenRevoked(
        jti=str(row.jti), descendants=len(under), descendant_jtis=[str(each.jti) for each in under[:DESCENDANTS_MAX]]
    )
    record(event, by=client.identifier, facts=facts)
    return True


def agent_of(row: AccessToken) -> str:
    """Return the identifier of the agent that a token was issued to."""
    assert row.agent is not None, "every token of ours belongs to an agent"
    return str(row.agent.identifier)


def approval_of(request: ApprovalRequest) -> dict[str, Any]:
    """Return the ``approval`` claim of a request that was approved."""
    assert request.decided_at is not None
    assert request.approved_until_at is not None
    return approval_claim(
        ref=request.ref,
        approved_at=request.decided_at,
        approved_until=request.approved_until_at,
        receipt_ref=request.receipt_ref,
        receipt_hash=request.receipt_hash,
        required=request.required,
        count=len(request.decided_by),
        issuer=settings.ISSUER,
    )


def _record_refusal(
    endpoint: str, code: str, reason: str, policies: Sequence[str], *, by: str, agent: str | None, resource: str | None
) -> None:
    facts = Facts(
        agent=agent,
        subject=None,
        resource=resource,
        action=None,
        decision="deny",
        txn=None,
        posture=POSTURE_UNKNOWN,
        remediation=None,
    )
    record(TokenRefused(endpoint=endpoint, code=code, reason=reason, policies=list(policies)), by=by, facts=facts)


def _facts(row: AccessToken, agent: str, *, decision: str, action: str | None, remediation: str | None = None) -> Facts:
    return Facts(
        agent=agent,
        subject=None if row.subject_ref == agent else row.subject_ref,
        resource=row.audience,
        action=action,
        decision=decision,
        txn=row.txn,
        posture=POSTURE_UNKNOWN,
        remediation=remediation,
    )
