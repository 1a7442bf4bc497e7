"""Families: what came from one code, which is access tokens, refresh tokens, and what was exchanged; they end together.

The caller holds the agent's row, as whoever redeems or refreshes does: nothing is added to a family that ends.
Spec: RFC 9700 §4.14.2, RFC 6749 §4.1.2, RFC 7009 §2.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from aims.authentication.client import Client
from aims.authorization.code_events import FamilyEnded
from aims.authorization.models import AccessToken, AuthorizationCode, RefreshToken
from aims.authorization.services import trees
from aims.authorization.services.codes import facts_of
from aims.authorization.services.order import begin
from aims.identifier.models import Agent
from aims.kit.ids import digest
from audit.write import record

JTIS_MAX = 200  # named in one entry; the others are counted
PERSON_DEACTIVATED = "person_deactivated"
BATCH = 200


def live_families(*, now: datetime) -> QuerySet[AuthorizationCode]:
    """Return the codes that may still be redeemed, or whose family has a refresh token that may still be used."""
    waits = Q(consumed_at=None, expires__gt=now)
    goes_on = RefreshToken.objects.filter(used_at=None, revoked=None, expires_at__gt=now).values("code")
    rows = AuthorizationCode.objects.filter(waits | Q(pk__in=goes_on), ended_at=None, agent__isnull=False)
    return rows.select_related("user", "agent", "grant", "request").order_by("pk")


def tokens_of(codes: Iterable[int], *, now: datetime) -> list[AccessToken]:
    """Return the live access tokens of these families. codes: keys of their rows."""
    live = AccessToken.objects.filter(code__in=list(codes), revoked_at=None, expires__gt=now)
    return list(live.select_related("agent").order_by("pk"))


def end_family(code: AuthorizationCode, *, reason: str, by: str, now: datetime) -> bool:
    """End all that came from a code, and the code; return whether it was us. In the caller's transaction."""
    if AuthorizationCode.objects.filter(pk=code.pk, ended_at=None).update(ended_at=now) != 1:
        return False
    RefreshToken.objects.filter(code=code, revoked=None).update(revoked=now)
    live = AccessToken.objects.filter(code=code, revoked_at=None, expires__gt=now)
    trees.lock(live)
    rows = list(live.order_by("-pk"))
    rows += trees.below(rows, now=now)
    AccessToken.of_every_kind.filter(pk__in=[row.pk for row in rows]).update(revoked_at=now)
    event = FamilyEnded(
        code=code.ref,
        reason=reason,
        grant=code.grant.ref if code.grant else None,
        tokens=len(rows),
        jtis=[str(row.jti) for row in rows[:JTIS_MAX]],
    )
    record(event, by=by, facts=facts_of(code, decision="deny", remediation=reason))
    return True


def end_families_of(agent: Agent, *, reason: str, by: str, now: datetime) -> None:
    """End every family of an agent, and its codes that nobody redeemed yet."""
    for code in live_families(now=now).filter(agent=agent):
        end_family(code, reason=reason, by=by, now=now)


def revoke(client: Client, token: str, *, now: datetime) -> bool:
    """End the family of a refresh token of this client, used or not; return whether it lived. Spec: RFC 7009 §2.1."""
    row = _of(client, token)
    if row is None or row.code is None:
        return False
    return end_family(row.code, reason="revoked_by_client", by=client.identifier, now=now)


def end_orphaned(*, now: datetime) -> int:
    """End the families of people who were shut out; return how many. Until then nothing of theirs counts either."""
    ended = 0
    for code in live_families(now=now).filter(user__is_active=False)[:BATCH]:
        assert code.agent is not None
        with transaction.atomic():
            begin(code.agent)
            ended += end_family(code, reason=PERSON_DEACTIVATED, by="system", now=now)
    return ended


def _of(client: Client, token: str) -> RefreshToken | None:
    rows = RefreshToken.objects.select_related("code__user", "code__agent", "code__grant")
    return rows.filter(token_checksum=digest(token), code__agent=client.agent).first() if client.agent else None
