"""Refresh tokens: each is good for one use, by which it is replaced. Spec: RFC 6749 §6, RFC 9700 §4.14.2.

The strict reading: whoever comes second with a token that was used ends the family, also where both came at once, for
nobody can tell a client that sent twice from a thief who was faster. The next sign-in begins a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import spend
from aims.authorization.code_events import RefreshTokenReused
from aims.authorization.errors import InvalidGrant, Outdated
from aims.authorization.models import AuthorizationCode, RefreshToken
from aims.authorization.services.agreed import Narrower, access_token, check_standing
from aims.authorization.services.codes import facts_of
from aims.authorization.services.families import end_family
from aims.authorization.services.order import begin
from aims.identifier.models import Agent, AgentState
from aims.kit.errors import AimsError
from aims.kit.ids import digest, new_secret
from audit.write import record

REFRESH = "refresh_token"
IDLE = timedelta(days=14)  # a refresh token that nobody uses
FAMILY_LIFE = timedelta(days=30)  # where no grant says until when
Outcome = dict[str, Any] | AimsError


@dataclass(frozen=True, kw_only=True)
class Refresh:
    """What the client sent."""

    refresh_token: str
    narrower: Narrower


def refresh(client: Client, asked: Refresh, *, now: datetime) -> Outcome:
    """Return the token response, or an error that is settled: what it changed is committed, the proofs are spent.

    Raises, with nothing written: InvalidGrant, those of ``agreed.access_token``, ProofReplayed, DpopReplayed, Outdated.
    """
    agent = client.agent
    assert agent is not None
    with transaction.atomic():
        begin(agent)
        if not Agent.objects.filter(pk=agent.pk, version=agent.version, state=AgentState.ACTIVE).exists():
            raise Outdated
        spend(*client.proofs)
        row, code = _bound(client, agent, asked)
        if row.used_at is not None:
            return _reused(row, code, client, now=now)
        if row.revoked is not None or row.expires_at is None or row.expires_at <= now:
            raise InvalidGrant
        check_standing(code, now=now)
        _claim(row, now=now)
        prepared = access_token(code, client, asked.narrower, now=now)
        return prepared.response() | {"refresh_token": give_refresh_token(code, now=now)}


def give_refresh_token(code: AuthorizationCode, *, now: datetime) -> str:
    """Return a new refresh token of a family, in the caller's transaction. Only its hash is stored."""
    token = new_secret()
    until = code.grant.until_at if code.grant else code.created + FAMILY_LIFE
    RefreshToken.objects.create(
        user=code.user,
        token="",
        token_checksum=digest(token),
        application=code.application,
        code=code,
        resource=code.resource,
        expires_at=min(now + IDLE, until),
    )
    return token


def _bound(client: Client, agent: Agent, asked: Refresh) -> tuple[RefreshToken, AuthorizationCode]:
    """Return the row of a token that this client may use, with its key. Asked before anything is consumed."""
    rows = RefreshToken.objects.select_related("code__user", "code__agent", "code__application", "code__grant")
    row = rows.filter(token_checksum=digest(asked.refresh_token), code__agent=agent).first()
    if row is None or row.code is None:
        raise InvalidGrant
    if not client.bound.holds(jkt=row.code.jkt, x5t_s256=row.code.x5t_s256):  # RFC 9449 §5, RFC 8705 §7.1
        raise InvalidGrant("Prove the key that this refresh token is bound to.")
    return row, row.code


def _reused(row: RefreshToken, code: AuthorizationCode, client: Client, *, now: datetime) -> AimsError:
    assert row.used_at is not None
    event = RefreshTokenReused(code=code.ref, used_at=int(row.used_at.timestamp()))
    record(event, by=client.identifier, facts=facts_of(code, decision="deny"))
    end_family(code, reason="refresh_token_reused", by=client.identifier, now=now)
    return InvalidGrant("The refresh token was used before. Its family has ended; sign in again.")


def _claim(row: RefreshToken, *, now: datetime) -> None:
    unused = RefreshToken.objects.filter(pk=row.pk, used_at=None, revoked=None)
    if unused.update(used_at=now) != 1:
        raise InvalidGrant
