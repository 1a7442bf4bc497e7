"""What an approval is good for: read, decided, never written. Both ways to redeem one build on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from aims.authentication.bound import Bound
from aims.authorization import queries
from aims.authorization.errors import AccessDenied, InvalidGrant
from aims.authorization.identity import id_token
from aims.authorization.models import ApprovalRequest, AuthorizationCode, DelegationGrant
from aims.authorization.request_errors import ExpiredToken
from aims.authorization.request_events import RequestRedeemed
from aims.authorization.services import tokens
from aims.authorization.services.metering import Share, shares_of, with_room
from aims.authorization.services.subjects import pairwise
from aims.authorization.statement import Statement, parse, request_hash
from aims.authorization.states import OPEN, RequestState
from aims.authorization.tokens import TokenFacts, confirmation, expiry
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.kit.errors import AimsError


def not_redeemable(request: ApprovalRequest, *, now: datetime) -> AimsError | None:
    """Return the error of §11 for a request that waits no more; None where it was approved and may still be used."""
    state = RequestState(request.state)
    if state == RequestState.APPROVED:
        is_in_time = request.approved_until_at is not None and request.approved_until_at > now
        return None if is_in_time else ExpiredToken()
    if state in OPEN or state == RequestState.EXPIRED:
        return ExpiredToken()
    if state == RequestState.REDEEMED:
        return InvalidGrant()
    return AccessDenied("The request was not approved.")


def statement_of(request: ApprovalRequest) -> Statement:
    """Return what was signed."""
    raw = bytes(request.statement)
    assert request_hash(raw) == request.request_hash, "the stored statement is not the one that was signed"
    return parse(raw)


def token_facts(
    request: ApprovalRequest,
    statement: Statement,
    shares: Sequence[Share],
    grants: Sequence[DelegationGrant],
    *,
    bound: Bound,
    code: AuthorizationCode | None,
    now: datetime,
) -> TokenFacts:
    """Return what the token says. grants: of ``policy.around_of``. code: as for ``redemption.redeem_approved``."""
    assert request.approved_until_at is not None
    theirs = _theirs(request, grants, now=now)
    # The person if they signed or agreed, or a grant from them covers all of it; else the agent acts for itself.
    subject_signed = code.signed_in if code else request.subject_signed
    is_for_person = subject_signed is not None or theirs is not None
    ends = [request.approved_until_at, *(share.grant.until_at for share in shares)]
    return TokenFacts(
        client_id=statement.client_id,
        subject=statement.sub if is_for_person else statement.client_id,
        audience=statement.resource,
        scope=statement.scope,
        authorization_details=statement.authorization_details,  # exactly as approved
        txn=request.txn,
        expires_at=expiry(now=now, ends=ends),
        approval=tokens.approval_of(request),
        subject_signed=subject_signed,
        cnf=confirmation(bound.jkt, bound.x5t_s256),
    )


def shares_in(
    request: ApprovalRequest,
    statement: Statement,
    grants: Sequence[DelegationGrant],
    *,
    is_agreed: bool,
    now: datetime,
) -> tuple[Share, ...]:
    """Return what the token takes from the grants that cover each part of a request: the policy was asked under these."""
    pairs: list[tuple[DelegationGrant | None, Mapping[str, Any] | None]] = []
    for kept in request.facts:
        found = queries.covering(grants, actions=(kept["action"],), types=(kept["detail_type"],), now=now)
        details = [each for each in statement.authorization_details if _is_about(kept, each)]
        grant = with_room(found, details[0] if details else None, now=now)
        pairs += [(grant, detail) for detail in details] or [(grant, None)]
    if request.subject_signed is None and not is_agreed:  # then it speaks for the person by a grant of theirs alone
        theirs = _theirs(request, grants, now=now)
        pairs += [(theirs, detail) for detail in [*statement.authorization_details, None]]
    return shares_of(pairs)


def actions_of(request: ApprovalRequest) -> list[str]:
    """Return the actions that were asked for, each once."""
    return list(dict.fromkeys(kept["action"] for kept in request.facts))


def closing(request: ApprovalRequest, *, jti: str, polls: int) -> RequestRedeemed:
    """Return what the log says of a request that became a token. polls: how often its agent asked in vain."""
    return RequestRedeemed(
        request=request.ref,
        request_hash=request.request_hash,
        receipt_hash=request.receipt_hash,
        jti=jti,
        polls=polls,
    )


def response_of(request: ApprovalRequest, prepared: tokens.Prepared, *, now: datetime) -> dict[str, Any]:
    """Return the token response, with an ID token where the subject signed. Spec: CIBA Core 1.0 §10.1.1."""
    response = prepared.response()
    if identity := _identity(request, now=now):
        response["id_token"] = signing.current(KeyPurpose.ID_TOKEN).sign(identity, "JWT")
    return response


def _identity(request: ApprovalRequest, *, now: datetime) -> dict[str, Any] | None:
    """Return the claims of the ID token; None unless the subject signed: nobody else's sign-in may be asserted."""
    if request.subject_signed is None:
        return None
    return id_token(
        issuer=settings.ISSUER,
        sub=pairwise(request.subject, request.agent),
        client_id=request.agent.identifier,
        signed_in=request.subject_signed,
        more={"txn": request.txn},
        now=now,
    )


def _is_about(kept: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    names = detail.get("actions")
    return bool(detail["type"] == kept["detail_type"]) and (names is None or kept["action"] in names)


def _theirs(request: ApprovalRequest, grants: Sequence[DelegationGrant], *, now: datetime) -> DelegationGrant | None:
    """Return the subject's own grant that covers all of a request and lasts longest."""
    own = [grant for grant in grants if grant.from_person_id == request.subject_id]
    actions, types = {kept["action"] for kept in request.facts}, {kept["detail_type"] for kept in request.facts}
    return next(iter(queries.covering(own, actions=actions, types=types, now=now)), None)
