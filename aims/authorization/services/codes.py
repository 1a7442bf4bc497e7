"""Authorization codes: what a person agreed to, waiting for its one redemption. Spec: RFC 6749 §4.1, RFC 9700 §2.1.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aims.authorization.code_events import CodeIssued
from aims.authorization.models import Application, ApprovalRequest, AuthorizationCode, DelegationGrant
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.identifier.models import Agent
from aims.kit.ids import digest, new_ref, new_secret
from aims.people.models import User
from audit.write import Facts, record

CODE_LIFE_S = 60
NONCE_MAX = 255  # characters
CHALLENGE_LENGTH = 43  # of base64url(SHA-256), RFC 7636 §4.2


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a person agreed to, and who they were when they did.

    grant: of this person to this agent; it covers scope and details at the resource. request: approved, for the same
    person, agent and resource, where the policy asked for a signed consent. Where there is a resource, at least one of
    them is there. resource: identifier; empty where only OpenID Connect's scopes were agreed to. scope: words, with
    ``openid`` and ``offline_access``. auth_time, acr, amr: of the person's sign-in. nonce: at most 255 characters.
    jkt: of the key that alone redeems the code (``dpop_jkt``), or empty.
    """

    agent: Agent
    person: User
    grant: DelegationGrant | None
    request: ApprovalRequest | None
    resource: str
    scope: str
    details: tuple[Mapping[str, Any], ...]
    auth_time: datetime
    acr: str
    amr: tuple[str, ...]
    nonce: str
    jkt: str


def issue_code(standing: Standing, *, redirect_uri: str, code_challenge: str, now: datetime) -> str:
    """Return a code for this, in the caller's transaction. Only its hash is stored.

    redirect_uri: exactly as the client sent it, and registered. code_challenge: of method S256.
    """
    _check(standing, code_challenge)
    code, request = new_secret(), standing.request
    row = AuthorizationCode.objects.create(
        user=standing.person,
        code_hash=digest(code),
        application=Application.objects.get(agent=standing.agent),
        agent=standing.agent,
        grant=standing.grant,
        request=request,
        resource=[standing.resource] if standing.resource else [],
        scope=standing.scope,
        authorization_details=[dict(detail) for detail in standing.details] or None,
        txn=request.txn if request else new_ref("txn"),
        auth_time=standing.auth_time,
        acr=standing.acr,
        amr=list(standing.amr),
        nonce=standing.nonce,
        jkt=standing.jkt,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        code_challenge_method=AuthorizationCode.CODE_CHALLENGE_S256,
        expires=now + timedelta(seconds=CODE_LIFE_S),
    )
    _record_issued(row)
    return code


def facts_of(row: AuthorizationCode, *, decision: str, remediation: str | None = None) -> Facts:
    """Return the mandatory facts of an entry about a code and what came from it."""
    assert row.agent is not None
    return Facts(
        agent=row.agent.identifier,
        subject=row.user.ref,
        resource=row.resource[0] if row.resource else None,
        action=None,
        decision=decision,
        txn=row.txn,
        posture=POSTURE_UNKNOWN,
        remediation=remediation,
    )


def _check(standing: Standing, code_challenge: str) -> None:
    """The caller has decided all of this before; whatever is not so is a broken invariant."""
    grant, request = standing.grant, standing.request
    assert len(code_challenge) == CHALLENGE_LENGTH
    assert len(standing.nonce) <= NONCE_MAX
    assert grant or request or not standing.resource, "nobody agreed to this"
    assert grant is None or (grant.agent_id, grant.from_person_id) == (standing.agent.pk, standing.person.pk)
    assert request is None or (request.agent_id, request.subject_id, request.resource) == (
        standing.agent.pk,
        standing.person.pk,
        standing.resource,
    )


def _record_issued(row: AuthorizationCode) -> None:
    event = CodeIssued(
        code=row.ref, grant=row.grant.ref if row.grant else None, request=row.request.ref if row.request else None
    )
    record(event, by=row.user.ref, facts=facts_of(row, decision="allow"))
