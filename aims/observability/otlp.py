"""Reading OTLP/HTTP in JSON: spans of the GenAI conventions become unsigned events; contents are left. Pure.

Spec: OTLP 1.x, JSON Protobuf encoding: trace and span ids in hex, 64-bit numbers as decimal strings, enums as numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aims.kit.ids import tagged_hash
from aims.observability import semconv
from aims.observability.errors import EventRefused, SpansRefused
from aims.observability.reports import (
    HAPPENED_MAX,
    SKEW,
    Report,
    Told,
    check_name,
    check_number,
    check_reference,
    is_txn,
)
from aims.observability.tracing import NotATrace, read_span_id, read_trace_id

SPANS_MAX = 500
ATTRIBUTES_MAX = 128  # of one span
_ERROR = 2  # Status.STATUS_CODE_ERROR
_NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a request held. reports: ``txn`` is empty where the span names none. dropped: spans, by reason.

    contents: attributes with content that were left. count: how many became entries, once they did.
    """

    reports: tuple[Report, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    contents: int = 0
    count: int = 0


class _Dropped(ValueError):
    """A span that is no event; the reason is its text."""


def loads(raw: bytes) -> dict[str, Any]:
    """Return a request. Unlike everywhere else numbers may have a fraction: attributes have. Raises SpansRefused."""
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SpansRefused from error
    if not isinstance(found, dict):
        raise SpansRefused
    return found


def read(body: Mapping[str, Any], *, issuer: str, now: datetime) -> Taken:
    """Return the events of an ExportTraceServiceRequest. Raises SpansRefused."""
    reports, dropped, contents = [], Counter[str](), 0
    for number, (around, span) in enumerate(_spans(body)):
        if number == SPANS_MAX:
            raise SpansRefused
        attributes = around | _attributes(span)
        contents += len(semconv.CONTENT & attributes.keys())
        try:
            reports.append(_report(span, attributes, issuer=issuer, now=now))
        except _Dropped as reason:
            dropped[str(reason)] += 1
        except (EventRefused, NotATrace):
            dropped["malformed"] += 1
    return Taken(reports=tuple(reports), dropped=dict(dropped), contents=contents)


def _spans(body: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Yield each span with the attributes of its resource."""
    for group in _list(body, "resourceSpans"):
        resource = group.get("resource", {})
        around = _attributes(resource) if isinstance(resource, dict) else {}
        for scope in _list(group, "scopeSpans"):
            yield from ((around, span) for span in _list(scope, "spans"))


def _list(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = holder.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise SpansRefused
    return value


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes by name. Of AnyValue only the single member is looked at."""
    found: dict[str, Any] = {}
    for each in _list(holder, "attributes")[:ATTRIBUTES_MAX]:
        key, value = each.get("key"), each.get("value")
        if isinstance(key, str) and isinstance(value, dict) and len(value) == 1:
            found[key] = _value(*next(iter(value.items())))
    return found


def _value(kind: str, value: Any) -> Any:
    if kind == "intValue":  # a 64-bit number: a decimal string, or a number where a writer was lenient
        return int(value) if isinstance(value, str) and _is_number(value) else value
    return value


def _report(span: Mapping[str, Any], attributes: Mapping[str, Any], *, issuer: str, now: datetime) -> Report:
    kind = semconv.OPERATIONS.get(str(attributes.get(semconv.OPERATION))) or semconv.MCP_METHODS.get(
        str(attributes.get(semconv.MCP_METHOD))
    )
    if kind is None:
        raise _Dropped("no_genai_span")
    begun, ended = _moment_ns(span, "startTimeUnixNano"), _moment_ns(span, "endTimeUnixNano")
    happened_at = datetime.fromtimestamp(ended / 1e9, UTC)
    if begun > ended or not now - HAPPENED_MAX <= happened_at <= now + SKEW:
        raise _Dropped("not_now")
    trace_id, span_id = read_trace_id(str(span.get("traceId"))), read_span_id(str(span.get("spanId")))
    txn = attributes.get(semconv.TXN, "")
    if txn and not is_txn(txn):
        raise _Dropped("malformed")
    status = span.get("status", {})
    is_failed = isinstance(status, dict) and status.get("code") == _ERROR
    told = Told(
        kind=kind,
        outcome="failure" if is_failed else "success",
        duration_ms=(ended - begun) // _NS,
        trace_id=trace_id,
        span_id=span_id,
        parent_id=read_span_id(str(span["parentSpanId"])) if span.get("parentSpanId") else None,
        **_said(attributes, kind),
    )
    # A span has a name of its own; the same one sent again is the same event.
    return Report(
        issuer=issuer, jti=f"otlp:{trace_id}:{span_id}", txn=str(txn), made_at=now, happened_at=happened_at, told=told
    )


def _said(attributes: Mapping[str, Any], kind: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, member in semconv.NAMES.items():
        if name in attributes:
            check = check_reference if member == "resource" else check_name
            said[member] = check(attributes[name], name)
    for name, member in semconv.NUMBERS.items():
        if name in attributes:
            said[member] = check_number(attributes[name], name)
    for name, member in semconv.HASHED.items():
        if name in attributes:
            said[member] = tagged_hash(_bytes(attributes[name]))
    if kind.startswith("a2a.") and semconv.PEER in attributes:
        said["peer"] = check_reference(attributes[semconv.PEER], semconv.PEER)
    return said


def _bytes(value: Any) -> bytes:
    """Return what is hashed: a text as it is, anything else as sorted JSON."""
    if isinstance(value, str):
        return value.encode(errors="replace")
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _moment_ns(span: Mapping[str, Any], name: str) -> int:
    text = str(span.get(name, ""))
    if not _is_number(text):
        raise _Dropped("malformed")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)
