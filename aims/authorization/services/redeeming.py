"""From a code to tokens, once. Spec: RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 9449 §10, RFC 9700 §2.1.1, §4.5.

Whatever binds a code is asked before anything is consumed: a thief can neither burn it nor end what it was used for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import spend
from aims.authorization.code_events import CodeReused
from aims.authorization.errors import InvalidAuthorizationDetails, InvalidGrant, InvalidRequest, Outdated
from aims.authorization.identity import OFFLINE, OPENID, at_hash, id_token
from aims.authorization.models import PUBLIC, AuthorizationCode
from aims.authorization.request_errors import ExpiredToken
from aims.authorization.services import redemption, tokens
from aims.authorization.services.agreed import (
    Narrower,
    access_token,
    audience_of,
    check_standing,
    userinfo_audience,
)
from aims.authorization.services.codes import facts_of
from aims.authorization.services.families import end_family
from aims.authorization.services.order import begin
from aims.authorization.services.refreshing import REFRESH, give_refresh_token
from aims.authorization.services.subjects import pairwise
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.identifier.models import Agent, AgentState
from aims.kit.errors import AimsError
from aims.kit.ids import b64url, digest
from audit.write import record

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
# One client that sends its request twice is no thief: who comes so soon after the first use, with its key, its verifier
# and all else that binds the code, is refused and ends nothing.
AT_ONCE = timedelta(seconds=2)

Outcome = dict[str, Any] | AimsError


@dataclass(frozen=True, kw_only=True)
class Redemption:
    """What the client sent. narrower: what of the agreement it wants a token for."""

    code: str
    redirect_uri: str
    code_verifier: str
    narrower: Narrower


def redeem_code(client: Client, asked: Redemption, *, now: datetime) -> Outcome:
    """Return the token response, or an error that is settled: what it changed is committed, the proofs are spent.

    Raises, with nothing written: InvalidGrant, InvalidRequest, those of ``agreed.access_token``, ProofReplayed,
    DpopReplayed, Outdated.
    """
    agent = client.agent
    assert agent is not None
    with transaction.atomic():
        begin(agent)
        if not Agent.objects.filter(pk=agent.pk, version=agent.version, state=AgentState.ACTIVE).exists():
            raise Outdated
        spend(*client.proofs)
        code = _bound(client, agent, asked)
        if code.consumed_at is not None:
            if now - code.consumed_at <= AT_ONCE:
                raise InvalidGrant("The code was used just now.")
            return _reused(code, client, now=now)
        if code.ended_at is not None or code.expires <= now:
            raise InvalidGrant
        check_standing(code, now=now)
        _claim(code, client, now=now)
        return _answered(code, client, asked.narrower, now=now)


def _bound(client: Client, agent: Agent, asked: Redemption) -> AuthorizationCode:
    """Return the code's row if this client may have it. One answer for what is unknown and what is another's."""
    rows = AuthorizationCode.objects.select_related("user", "agent", "application", "grant", "request")
    code = rows.filter(code_hash=digest(asked.code), agent=agent).first()
    if code is None:
        raise InvalidGrant
    if asked.redirect_uri != code.redirect_uri:  # RFC 6749 §4.1.3: identical
        raise InvalidGrant("redirect_uri differs from that of the authorization request.")
    if not VERIFIER.fullmatch(asked.code_verifier):
        raise InvalidRequest("code_verifier has 43 to 128 unreserved characters.")
    challenge = b64url(hashlib.sha256(asked.code_verifier.encode()).digest())
    # A code without a challenge takes no verifier either (RFC 9700 §4.8.2); none is ever made.
    if not hmac.compare_digest(challenge, code.code_challenge):
        raise InvalidGrant("code_verifier does not fit the code_challenge.")
    if not client.bound.holds(jkt=code.jkt, x5t_s256=code.x5t_s256):  # RFC 9449 §10
        raise InvalidGrant("Prove the key that the authorization request was made with.")
    return code


def _reused(code: AuthorizationCode, client: Client, *, now: datetime) -> AimsError:
    """RFC 6749 §4.1.2: deny it, and end what the first use made."""
    record(CodeReused(code=code.ref), by=client.identifier, facts=facts_of(code, decision="deny"))
    end_family(code, reason="code_reused", by=client.identifier, now=now)
    return InvalidGrant("The code was used before. What it was used for has ended.")


def _claim(code: AuthorizationCode, client: Client, *, now: datetime) -> None:
    """Use the code up, before any token is stored. What a public client gets goes on with these keys alone.

    A client that authenticates proves itself at each refresh, and may have another key by then.
    """
    if code.application.token_endpoint_auth_method == PUBLIC:  # RFC 9449 §5, RFC 8705 §4, §7.1
        code.jkt, code.x5t_s256 = client.jkt, client.x5t_s256
    unused = AuthorizationCode.objects.filter(pk=code.pk, consumed_at=None, ended_at=None)
    if unused.update(consumed_at=now, jkt=code.jkt, x5t_s256=code.x5t_s256) != 1:
        raise InvalidGrant


def _answered(code: AuthorizationCode, client: Client, narrower: Narrower, *, now: datetime) -> Outcome:
    prepared = _token(code, client, narrower, now=now)
    if isinstance(prepared, AimsError):
        return prepared
    response = prepared.response()
    scope = code.scope.split()
    if OFFLINE in scope and code.request is None and code.application.allows_grant_type(REFRESH):
        response["refresh_token"] = give_refresh_token(code, now=now)
    if OPENID in scope:
        response["id_token"] = _identity(code, prepared, now=now)
    return response


def _token(
    code: AuthorizationCode, client: Client, narrower: Narrower, *, now: datetime
) -> tokens.Prepared | AimsError:
    if code.request is None or audience_of(code, narrower) == userinfo_audience():
        return access_token(code, client, narrower, now=now)
    if narrower.details is not None:
        raise InvalidAuthorizationDetails("What was approved is redeemed exactly as approved.")
    redeemed = redemption.redeem_approved(code.request, bound=client.bound, code=code, now=now)
    if isinstance(redeemed, ExpiredToken):  # CIBA's word; here a grant that has lapsed is RFC 6749 §5.2's
        return InvalidGrant("The approval has lapsed.")
    return redeemed


def _identity(code: AuthorizationCode, prepared: tokens.Prepared, *, now: datetime) -> str:
    assert code.agent is not None
    claims = id_token(
        issuer=settings.ISSUER,
        sub=pairwise(code.user, code.agent),
        client_id=code.agent.identifier,
        signed_in=code.signed_in,
        more={"nonce": code.nonce, "at_hash": at_hash(prepared.token)},
        now=now,
    )
    return signing.current(KeyPurpose.ID_TOKEN).sign(claims, "JWT")
