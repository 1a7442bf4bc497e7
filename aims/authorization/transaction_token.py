"""What stands in a transaction token, and how its contexts grow. Pure.

Spec: draft-ietf-oauth-transaction-tokens (the claims), draft-oauth-transaction-tokens-for-agents (``act``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit.canonical import CanonicalError, decode, encode

TYP = "txntoken+jwt"
LIFETIME_S = 360
CONTEXT_MAX_BYTES = 4096  # tctx and rctx, each: what travels in a header with every call
CONTEXT_DEPTH_MAX = 8
REPLACEMENTS_MAX = 8  # transaction tokens in one chain
# What we alone say, because we alone know it: nobody's request sets these.
OURS_IN_TCTX = frozenset({"authorization_details", "resource"})
OURS_IN_RCTX = frozenset({"binding", "req_wl"})
AI_AGENT, USER = "ai_agent", "user"  # draft-mora-oauth-entity-profiles

Context = Mapping[str, Any]


class ContextRefused(ValueError):
    """A context that is not an object, too big, or would change what a transaction has said already."""


@dataclass(frozen=True, kw_only=True)
class TxnFacts:
    """What a transaction token will say. is_agent: whether the subject is an agent that acts for itself."""

    subject: str
    is_agent: bool
    trust_domain: str
    txn: str
    scope: str
    tctx: Context
    rctx: Context
    req_wl: str
    act: Mapping[str, Any]
    expires_at: datetime


def claims_of(facts: TxnFacts, *, issuer: str, jti: str, now: datetime) -> dict[str, Any]:
    """Return the claims. ``jti`` tells the tokens of one transaction apart; they share ``txn`` (RFC 8417 §2.2)."""
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "exp": int(facts.expires_at.timestamp()),
        "aud": facts.trust_domain,
        "jti": jti,
        "txn": facts.txn,
        "sub": facts.subject,
        "sub_profile": AI_AGENT if facts.is_agent else USER,
        "scope": facts.scope,
        "tctx": dict(facts.tctx),
        "rctx": dict(facts.rctx),
        "req_wl": facts.req_wl,
        "act": dict(facts.act),
    }


def expiry(*, now: datetime, ends: Collection[datetime]) -> datetime:
    """Return when it ends, on a whole second. ends: of all that it rests on; it outlives none of it."""
    return min(now + timedelta(seconds=LIFETIME_S), *ends).replace(microsecond=0)


def read_context(text: str | None) -> Context:
    """Return ``request_context`` or ``request_details``, empty where there is none. Raises ContextRefused."""
    if text is None:
        return {}
    if len(text.encode()) > CONTEXT_MAX_BYTES:
        raise ContextRefused(f"A context has at most {CONTEXT_MAX_BYTES} bytes.")
    try:
        value = decode(text.encode(), max_depth=CONTEXT_DEPTH_MAX)
    except (CanonicalError, UnicodeEncodeError) as error:
        raise ContextRefused("A context is strict JSON without fractions.") from error
    if not isinstance(value, dict):
        raise ContextRefused("A context is a JSON object.")
    return value


def grown(before: Context, asked: Context, *, ours: Collection[str], own: Context) -> Context:
    """Return a context with what is asked for added, and our own members on top. Raises ContextRefused.

    Nothing that stands there changes, since whoever comes later relies on it; the same again is no change.
    """
    if set(asked) & set(ours):
        raise ContextRefused(f"{min(set(asked) & set(ours))} is ours to say.")
    changed = [name for name in asked if name in before and before[name] != asked[name]]
    if changed:
        raise ContextRefused("A member of a context never changes in a transaction.")
    result = {**{name: value for name, value in before.items() if name not in ours}, **asked, **own}
    if len(encode(result)) > CONTEXT_MAX_BYTES:
        raise ContextRefused(f"A context has at most {CONTEXT_MAX_BYTES} bytes.")
    return result


def workloads(before: Context, newest: str) -> Sequence[str]:
    """Return who has asked for the tokens of this transaction, the first one first."""
    return [*before.get("req_wl", ()), newest]
