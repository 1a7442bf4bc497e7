"""W3C Trace Context: which span of which trace. Pure. Spec: Trace Context Level 2 §3.2."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE_ID, _SPAN_ID = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")


class NotATrace(ValueError):
    """No trace context: malformed, of the forbidden version, or of all-zero ids."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where something happened in a trace. Its caller chose the ids: nothing rests on them."""

    trace_id: str
    span_id: str


def read_traceparent(text: str) -> Span:
    """Return what ``traceparent`` names. Raises NotATrace. Spec: Trace Context §3.2.2."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        raise NotATrace("not version-traceid-parentid-flags in lower-case hex")
    version, trace_id, span_id, _flags, more = found.groups()
    # §3.2.2.1: ff is forbidden; §4.3: a later version may say more, this one may not.
    if version == "ff" or (version == "00" and more):
        raise NotATrace("of a version that there is not")
    return Span(trace_id=read_trace_id(trace_id), span_id=read_span_id(span_id))


def read_trace_id(text: str) -> str:
    """Return a trace id. Raises NotATrace. Spec: Trace Context §3.2.2.3: all zeros are forbidden."""
    if not _TRACE_ID.fullmatch(text) or not text.strip("0"):
        raise NotATrace("no trace id")
    return text


def read_span_id(text: str) -> str:
    """Return a span id. Raises NotATrace. Spec: Trace Context §3.2.2.4: all zeros are forbidden."""
    if not _SPAN_ID.fullmatch(text) or not text.strip("0"):
        raise NotATrace("no span id")
    return text
