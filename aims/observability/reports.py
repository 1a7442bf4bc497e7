"""What a reporter says it did: the members of an event, strictly. Pure.

Everything is a claim. Nothing here carries what was said to a tool or by a model: references, numbers and hashes only.
Spec: RFC 8417 §2.2 for iss, aud, iat, jti, toe and txn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from aims.observability.errors import ContentRefused, EventRefused, NotNow
from aims.observability.tracing import NotATrace, read_span_id, read_traceparent

TYP = "aims-event+jwt"
KINDS = (
    "tool.call", "tool.result", "llm.call", "llm.result", "a2a.call", "a2a.result", "action.executed", "action.refused",
    "task.started", "task.ended",
)  # fmt: skip
OUTCOMES = ("success", "failure", "refused", "timeout", "unknown")
MADE_MAX = timedelta(minutes=10)  # how old a signature may be
HAPPENED_MAX = timedelta(hours=24)  # how long before it what is told may have happened
SKEW = timedelta(seconds=30)
NAME_MAX = 200
REFERENCE_MAX = 2048
JTI_MAX = 255
TXN_MAX = 40
NUMBER_MAX = 10**12

# What would carry words of people, tools or models, by the names that these have elsewhere.
CONTENT = frozenset({
    "arguments", "body", "completion", "content", "error_message", "input", "messages", "output", "parameters", "prompt",
    "query", "response", "result", "text",
})  # fmt: skip
CLAIMS = frozenset({"iss", "aud", "iat", "jti", "txn", "toe", "event"})
_HASH = re.compile(r"sha-256:[A-Za-z0-9_-]{43}")
_NAME = re.compile(rf"[\x21-\x7e]{{1,{NAME_MAX}}}")
_REFERENCE = re.compile(rf"[\x21-\x7e]{{1,{REFERENCE_MAX}}}")
_TXN = re.compile(rf"[A-Za-z0-9_-]{{1,{TXN_MAX}}}")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an event says happened. None: not said.

    token: ``sha-256:`` hash of the access token's jti. details_hash: of the canonical ``authorization_details`` object
    that was carried out; arguments_hash, result_hash: of what went in and came out. peer: the agent that was called.
    span_id: of what happened; parent_id: of what it happened in.
    """

    kind: str
    agent: str | None = None
    resource: str | None = None
    action: str | None = None
    outcome: str | None = None
    duration_ms: int | None = None
    token: str | None = None
    approval: str | None = None
    details_hash: str | None = None
    arguments_hash: str | None = None
    result_hash: str | None = None
    tool: str | None = None
    model: str | None = None
    peer: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """One event. jti: the reporter's own name for it. happened_at: by the reporter's clock."""

    issuer: str
    jti: str
    txn: str
    made_at: datetime
    happened_at: datetime
    told: Told


def read(claims: Mapping[str, Any], *, audience: str, now: datetime) -> Report:
    """Return the event that the claims are. Raises EventRefused, ContentRefused, NotNow."""
    for name in claims:
        _check_known(name, CLAIMS, "")
    if claims.get("aud") not in (audience, [audience]):
        raise EventRefused("aud", "must be the address of this endpoint, and only it")
    made_at = _date(claims, "iat")
    happened_at = _date(claims, "toe") if "toe" in claims else made_at
    if not now - MADE_MAX <= made_at <= now + SKEW or not made_at - HAPPENED_MAX <= happened_at <= made_at + SKEW:
        raise NotNow
    event = claims.get("event")
    if not isinstance(event, dict):
        raise EventRefused("event", "must be an object")
    return Report(
        issuer=_text(claims, "iss", _REFERENCE),
        jti=_jti(claims),
        txn=_text(claims, "txn", _TXN),
        made_at=made_at,
        happened_at=happened_at,
        told=read_told(event),
    )


def read_told(event: Mapping[str, Any]) -> Told:
    """Return what an event says. Raises EventRefused, ContentRefused."""
    for name in event:
        _check_known(name, _MEMBERS.keys() | {"traceparent", "parent"}, "event.")
    if event.get("kind") not in KINDS:
        raise EventRefused("event.kind", f"must be one of {', '.join(KINDS)}")
    if event.get("outcome", OUTCOMES[0]) not in OUTCOMES:
        raise EventRefused("event.outcome", f"must be one of {', '.join(OUTCOMES)}")
    said = {name: read_one(event[name], f"event.{name}") for name, read_one in _MEMBERS.items() if name in event}
    return Told(**said, **_trace(event))


def check_hash(value: object, at: str) -> str:
    """Return ``sha-256:`` and 43 characters of base64url. Raises EventRefused."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise EventRefused(at, "must be sha-256: and the base64url digest")
    return value


def check_name(value: object, at: str) -> str:
    """Return a short name without blanks. Raises EventRefused."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise EventRefused(at, f"must be 1 to {NAME_MAX} ASCII characters without blanks")
    return value


def check_reference(value: object, at: str) -> str:
    """Return an identifier. Raises EventRefused."""
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise EventRefused(at, "must be an identifier, without blanks")
    return value


def check_number(value: object, at: str) -> int:
    """Return a whole number of 0 or more. Raises EventRefused."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= NUMBER_MAX:
        raise EventRefused(at, "must be a whole number of 0 or more")
    return value


def is_txn(value: object) -> bool:
    """Return whether this can be the name of a transaction."""
    return isinstance(value, str) and _TXN.fullmatch(value) is not None


_MEMBERS: dict[str, Callable[[object, str], Any]] = {
    "kind": check_name,
    "agent": check_reference,
    "resource": check_reference,
    "action": check_name,
    "outcome": check_name,
    "duration_ms": check_number,
    "token": check_hash,
    "approval": check_name,
    "details_hash": check_hash,
    "arguments_hash": check_hash,
    "result_hash": check_hash,
    "tool": check_name,
    "model": check_name,
    "peer": check_reference,
    "input_tokens": check_number,
    "output_tokens": check_number,
}
assert _MEMBERS.keys() | {"trace_id", "span_id", "parent_id"} == {each.name for each in fields(Told)}


def _check_known(name: str, known: frozenset[str] | set[str], at: str) -> None:
    if name in known:
        return
    if name.lower() in CONTENT:
        raise ContentRefused(at + name)
    raise EventRefused(f"{at}{name}"[:NAME_MAX], "there is no such member")


def _trace(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = read_traceparent(event["traceparent"]) if "traceparent" in event else None
        parent = read_span_id(event["parent"]) if "parent" in event else None
    except (NotATrace, TypeError) as error:
        raise EventRefused("event.traceparent", "traceparent and parent follow W3C Trace Context") from error
    told = {"trace_id": found.trace_id, "span_id": found.span_id} if found else {}
    return told | ({"parent_id": parent} if parent else {})


def _date(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    # RFC 7519 §2; whole seconds or fractions of one, never a bool, a string or an absurd year.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise EventRefused(name, "must be a NumericDate")
    return datetime.fromtimestamp(value, UTC)


def _jti(claims: Mapping[str, Any]) -> str:
    value = claims.get("jti")
    if not isinstance(value, str) or not 1 <= len(value) <= JTI_MAX or not value.isprintable():
        raise EventRefused("jti", f"must be 1 to {JTI_MAX} printable characters")
    return value


def _text(claims: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise EventRefused(name, "is missing, or not what it should be")
    return value
