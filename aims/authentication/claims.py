"""The claims that every assertion has in common: a name, and a short life. Pure, but for the words of its refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from aims.authentication.errors import InvalidClient

AHEAD_MAX_S = 300
SKEW_S = 30
JTI_MAX = 255


@dataclass(frozen=True, kw_only=True)
class Life:
    """When an assertion was made, and until when it must be remembered."""

    issued_at: datetime
    expires_at: datetime


def is_for_us(audience: object, *, target: str | None = None) -> bool:
    """Return whether the audience is our issuer, or the target, and nothing besides. draft-ietf-oauth-rfc7523bis §4."""
    wanted = target or settings.ISSUER
    return audience == wanted or audience == [wanted]


def check_jti(jti: object) -> str:
    """Return a jti that can be remembered. Raises InvalidClient."""
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_MAX or not jti.isprintable():
        raise InvalidClient(_("jti must be a string of 1 to 255 printable characters."), reason="jti")
    return jti


def life_of(claims: Mapping[str, Any], *, needs_iat: bool, now: datetime) -> Life:
    """Return the life of an assertion that counts now and not for long. Raises InvalidClient.

    needs_iat: else one that does not say when it was made counts as made as early as it can have been sent.
    """
    issued, expires, not_before = (numeric_date(claims, name) for name in ("iat", "exp", "nbf"))
    at = now.timestamp()
    if (issued is None and needs_iat) or (issued is not None and issued > at + SKEW_S):
        raise InvalidClient(_("iat is missing or in the future."), reason="issued_at")
    if expires is None or expires <= at - SKEW_S:
        raise InvalidClient(_("exp is missing or has passed."), reason="expired")
    if expires > at + AHEAD_MAX_S + SKEW_S or (issued is not None and expires <= issued):
        raise InvalidClient(_("exp must be at most 300 seconds ahead."), reason="expires_late")
    if not_before is not None and not_before > at + SKEW_S:
        raise InvalidClient(_("nbf is in the future."), reason="not_before")
    made = expires - AHEAD_MAX_S - SKEW_S if issued is None else issued
    return Life(
        issued_at=datetime.fromtimestamp(max(made, 0), UTC),
        expires_at=datetime.fromtimestamp(expires, UTC) + timedelta(seconds=SKEW_S),
    )


def numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate, None where absent. Spec: RFC 7519 §2. Never trusts a bool, a string or an absurd year."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise InvalidClient(_("iat, exp and nbf must be NumericDates."), reason="numeric_date")
    return float(value)
