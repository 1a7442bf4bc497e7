"""What the log says about codes, and the families of tokens that come from them."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class CodeIssued(Event, type="authorization.code.issued", title="Issued an authorization code", tone="yes"):
    """code: its public reference, which buys nothing. grant, request: what it stands on, None without one."""

    code: str
    grant: str | None
    request: str | None


@dataclass(frozen=True, kw_only=True)
class CodeReused(Event, type="authorization.code.reused", title="Used a code again", tone="no", part="change"):
    """Its client sent a code a second time: somebody else may have it, so what came from it ended."""

    code: str


@dataclass(frozen=True, kw_only=True)
class RefreshTokenReused(
    Event, type="authorization.refresh_token.reused", title="Used a refresh token again", tone="no", part="change"
):
    """Its client sent a refresh token that had been replaced: two have it, so its whole family ended.

    used_at: NumericDate of its first use.
    """

    code: str
    used_at: int


@dataclass(frozen=True, kw_only=True)
class FamilyEnded(Event, type="authorization.family.ended", title="Ended a sign-in for good", tone="no", part="change"):
    """Nothing that came from this code counts any more, nor what was exchanged for it.

    reason: ``code_reused``, ``refresh_token_reused``, ``revoked_by_client``, ``person_deactivated``, or as in
    ``authorization.tokens.ended``. tokens: how many access tokens ended with it now. jtis: of the newest 200 of them.
    """

    code: str
    reason: str
    grant: str | None
    tokens: int
    jtis: list[str]
