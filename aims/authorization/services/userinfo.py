"""What a client may ask about the person who signed in to it. Spec: OpenID Connect Core 1.0 §5.3."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from aims.authentication.dpop import KeyProof
from aims.authentication.replay import spend
from aims.authorization.errors import InsufficientScope, InvalidToken
from aims.authorization.identity import OPENID
from aims.authorization.identity import userinfo as claims_of
from aims.authorization.models import AccessToken
from aims.authorization.services import tokens
from aims.authorization.services.agreed import userinfo_audience
from aims.authorization.services.subjects import pairwise
from aims.kit.ids import digest


def userinfo(token: str, *, key: KeyProof | None, now: datetime) -> dict[str, Any]:
    """Return the claims that the token's scope opens. Raises InvalidToken, InsufficientScope, DpopReplayed.

    key: that the request proved together with this token, None where it was sent as a bearer token.
    """
    with transaction.atomic():
        row = _live(token, now=now)
        if row is None or row.code is None or row.agent is None:
            raise InvalidToken
        # RFC 9449 §7.2: a bound token counts with its key alone, and a bearer token is no more with one.
        if row.jkt != (key.jkt if key else "") or row.x5t_s256:
            raise InvalidToken(detail="another key")
        if key:
            spend(key.proof)
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
