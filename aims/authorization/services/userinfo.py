"""What a client may ask about the person who signed in to it. Spec: OpenID Connect Core 1.0 §5.3."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authentication.replay import spend
from aims.authorization.errors import InsufficientScope, InvalidToken
from aims.authorization.identity import OPENID
from aims.authorization.identity import userinfo as claims_of
from aims.authorization.models import AccessToken
from aims.authorization.presenting import Presented
from aims.authorization.services import tokens
from aims.authorization.services.agreed import userinfo_audience
from aims.authorization.services.subjects import pairwise
from aims.kit.ids import digest


def userinfo(shown: Presented, *, now: datetime) -> dict[str, Any]:
    """Return the claims that the token's scope opens. Raises InvalidToken, InsufficientScope, DpopReplayed."""
    with transaction.atomic():
        row = _live(shown.token, now=now)
        if row is None or row.code is None or row.agent is None:
            raise InvalidToken
        shown.check_holds(jkt=row.jkt, x5t_s256=row.x5t_s256)
        if shown.key:
            spend(shown.key.proof)
        if OPENID not in row.scope.split():
            raise InsufficientScope
        tokens.record_use(row)
        person = row.code.user
        return claims_of(sub=pairwise(person, row.agent), name=person.name, email=person.email, scope=row.scope.split())


def _live(token: str, *, now: datetime) -> AccessToken | None:
    rows = AccessToken.objects.select_related("agent", "code__user").filter(
        token_checksum=digest(token), audience=userinfo_audience(), code__isnull=False, expires__gt=now
    )
    row = rows.select_for_update(of=("self",), no_key=True).first()
    return row if row and row.is_sound else None
