"""A transaction token: of our trust domain, now, and passed on as it came. Pure.

It says which call this one belongs to. It is no access token and no workload's credential: who sends it proves itself
in another way. Spec: draft-ietf-oauth-transaction-tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InsufficientScope, TokenClaims, TxnTokenCount, WrongAudience, WrongIssuer
from .issued import KeyLookup, guard_times, is_name, signed

HEADER = "Txn-Token"
TYP = "txntoken+jwt"
_NAMES = ("txn", "sub", "scope", "req_wl")


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """A call that goes on inside the trust domain. token: exactly as it came, never logged."""

    token: str
    claims: Mapping[str, Any]

    @property
    def txn(self) -> str:
        """Return the id that all tokens of this transaction share."""
        return str(self.claims["txn"])

    @property
    def subject(self) -> str:
        """Return on whose behalf."""
        return str(self.claims["sub"])

    @property
    def scopes(self) -> Collection[str]:
        """Return what the transaction is for."""
        return str(self.claims["scope"]).split(" ")

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the header that the next call carries: this token, unmodified."""
        return {HEADER: self.token}

    def require_scope(self, *scopes: str) -> None:
        """Refuse unless the transaction is for this."""
        if not set(scopes) <= set(self.scopes):
            raise InsufficientScope(scopes)


def check(
    values: Sequence[str],
    *,
    trust_domain: str,
    issuer: str | None,
    keys: KeyLookup,
    algorithms: Collection[str],
    skew_s: float,
    now: float,
) -> Transaction:
    """Return the transaction of a call. Raises TxnTokenCount, InvalidToken: a class for each rule.

    values: of every header ``Txn-Token``. trust_domain, issuer: compared character by character; issuer: None where the
    service has no name, since ``iss`` is optional. keys: the service's key of a ``kid``. now: NumericDate.
    """
    if len(values) != 1 or "," in values[0]:
        raise TxnTokenCount
    claims = signed(values[0], typ=TYP, keys=keys, algorithms=algorithms)
    if not all(is_name(claims.get(name)) for name in _NAMES):
        raise TokenClaims
    if not all(isinstance(claims.get(name, {}), Mapping) for name in ("tctx", "rctx")):
        raise TokenClaims
    if issuer is not None and claims.get("iss") != issuer:
        raise WrongIssuer
    # One audience, a text or a list of one: a token that is good here too is good somewhere else.
    if claims.get("aud") not in (trust_domain, [trust_domain]):
        raise WrongAudience
    guard_times(claims, skew_s=skew_s, now=now)
    return Transaction(token=values[0], claims=claims)
