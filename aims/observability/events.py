"""What this room records. What reporters say is theirs: the entry says who said it, and whether it was signed."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class EventReported(Event, type="observability.event.reported", title="Said what it did", tone="info", part="report"):
    """A claim of ``by``, never our own observation. kind: of ``reports.KINDS``. side: ``agent`` or ``resource``.

    report: hash of the signed event, None for a span of OpenTelemetry, which nobody signed. at_ms: when, by the reporter's
    clock, in milliseconds. token: jti of the access token that it names, where it is one of this transaction; else None.
    is_trace_odd: its trace was seen in another transaction, or this transaction in another trace. Hashes, numbers and
    names are as reported.
    """

    kind: str
    side: str
    report: str | None
    at_ms: int
    outcome: str | None
    duration_ms: int | None
    token: str | None
    approval: str | None
    details_hash: str | None
    arguments_hash: str | None
    result_hash: str | None
    tool: str | None
    model: str | None
    peer: str | None
    input_tokens: int | None
    output_tokens: int | None
    trace_id: str | None
    span_id: str | None
    parent_id: str | None
    is_trace_odd: bool


@dataclass(frozen=True, kw_only=True)
class ReportsRefused(Event, type="observability.report.refused", title="Refused a report", tone="no"):
    """One call's events that were not taken, by the code of the rule. count: of this code in this call."""

    code: str
    count: int


@dataclass(frozen=True, kw_only=True)
class SpansReceived(Event, type="observability.spans.received", title="Took spans of OpenTelemetry", tone="plain"):
    """One OTLP call. taken: became events. dropped: by reason. contents: attributes with content, not kept."""

    taken: int
    dropped: dict[str, int]
    contents: int


@dataclass(frozen=True, kw_only=True)
class FindingOpened(Event, type="observability.finding.opened", title="Found something", tone="waiting"):
    """A rule found something. evidence: indexes of the entries that show it."""

    finding: str
    rule: str
    version: int
    severity: str
    evidence: list[int]


@dataclass(frozen=True, kw_only=True)
class FindingAcknowledged(Event, type="observability.finding.acknowledged", title="Took up a finding", tone="info"):
    finding: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class FindingClosed(Event, type="observability.finding.closed", title="Closed a finding", tone="info"):
    """reason: ``mended``, ``expected``, ``mistaken`` or ``elsewhere``. count: how often it was seen by then."""

    finding: str
    rule: str
    reason: str
    count: int
