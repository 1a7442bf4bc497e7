"""OpenTelemetry's GenAI spans: mapped to the same kinds, unsigned, without their contents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aims.kit import clock
from tests.protocol.events.conftest import ENDPOINT, TRACE, Reporting, entries, hash_of, problem

pytestmark = pytest.mark.django_db
OTLP = ENDPOINT + "otlp/"
TRACE_ID, SPAN_ID = TRACE[3:35], TRACE[36:52]
DROPPED: list[tuple[dict[str, Any], str]] = [
    ({"attributes": []}, "no_genai_span"),
    ({"traceId": "0" * 32}, "malformed"),
    ({"spanId": None}, "malformed"),
    ({"endTimeUnixNano": "²"}, "malformed"),
    ({"endTimeUnixNano": "1"}, "not_now"),
    ({"startTimeUnixNano": "9" * 19}, "not_now"),
]


def attribute(name: str, value: Any) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": name, "value": {kind: str(value)}}


def span(*attributes: dict[str, Any], **changed: Any) -> dict[str, Any]:
    ended = int(clock.now().timestamp() * 1e9)
    base = {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "name": "execute_tool ledger",
        "kind": 3,
        "startTimeUnixNano": str(ended - 40_000_000),
        "endTimeUnixNano": str(ended),
        "attributes": list(attributes),
    }
    return {name: value for name, value in (base | changed).items() if value is not None}


def request(*spans: dict[str, Any], around: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {"attributes": list(around)}, "scopeSpans": [{"spans": list(spans)}]}]}


@pytest.fixture
def export(reporting: Reporting) -> Callable[..., Any]:
    def export(body: Any, **extra: Any) -> Any:
        raw = body if isinstance(body, str) else json.dumps(body)
        return reporting.send(raw, path=OTLP, content_type="application/json", **extra)

    return export


@pytest.mark.spec("OpenTelemetry GenAI", "execute_tool", "a tool's span is a tool's result")
def test_a_tool_span_is_an_unsigned_claim_without_its_contents(
    reporting: Reporting, export: Callable[..., Any]
) -> None:
    told = span(
        attribute("gen_ai.operation.name", "execute_tool"),
        attribute("gen_ai.tool.name", "ledger"),
        attribute("gen_ai.tool.call.arguments", '{"to":"Nordwind"}'),
        attribute("gen_ai.system_instructions", "Be nice"),
        attribute("aims.resource", reporting.stage.pay.identifier),
        status={"code": 2},
        parentSpanId="b7ad6b7169203331",
    )
    answer = export(request(told, around=(attribute("aims.txn", reporting.txn),)))
    assert answer.json() == {"accepted": 1, "dropped": {}, "contents": 2}
    (entry,) = entries()
    data = entry["data"]
    assert (data["kind"], data["tool"], data["outcome"], data["duration_ms"]) == (
        "tool.result",
        "ledger",
        "failure",
        40,
    )
    assert data["report"] is None and data["side"] == "agent"
    assert data["arguments_hash"] == hash_of('{"to":"Nordwind"}')
    assert data["parent_id"] == "b7ad6b7169203331" and data["trace_id"] == TRACE_ID
    assert "Nordwind" not in json.dumps(entry) and "Be nice" not in json.dumps(entry)
    assert export(request(told, around=(attribute("aims.txn", reporting.txn),))).json()["dropped"] == {"known": 1}
    assert len(entries()) == 1
    assert entries("observability.spans.received")[0]["data"] == {"taken": 1, "dropped": {}, "contents": 2}


@pytest.mark.spec("OpenTelemetry GenAI", "inference", "a chat's span tells its model and how many tokens")
def test_a_chat_span_tells_model_and_numbers(reporting: Reporting, export: Callable[..., Any]) -> None:
    told = span(
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.request.model", "mistral-small"),
        attribute("gen_ai.usage.input_tokens", 812),
        attribute("gen_ai.usage.output_tokens", 44),
        attribute("aims.txn", reporting.txn),
    )
    export(request(told))
    data = entries()[0]["data"]
    assert (data["kind"], data["model"], data["input_tokens"], data["output_tokens"]) == (
        "llm.result", "mistral-small", 812, 44,
    )  # fmt: skip


def test_a_signed_event_lends_its_transaction_to_the_spans_of_its_trace(
    reporting: Reporting, export: Callable[..., Any]
) -> None:
    told = span(attribute("mcp.method.name", "tools/call"), spanId="b7ad6b7169203331")
    assert export(request(told)).json() == {"accepted": 0, "dropped": {"no_transaction": 1}, "contents": 0}
    reporting.send(reporting.courier(event={"traceparent": TRACE}))
    assert export(request(told)).json()["accepted"] == 1
    assert entries()[-1]["txn"] == reporting.txn and not entries()[-1]["data"]["is_trace_odd"]


def test_a_span_that_is_no_event_is_dropped_by_its_reason(export: Callable[..., Any]) -> None:
    for changed, reason in DROPPED:
        told = span(attribute("gen_ai.operation.name", "chat"), **changed)
        assert export(request(told)).json()["dropped"] == {reason: 1}, changed


def test_a_name_with_blanks_is_no_name(export: Callable[..., Any]) -> None:
    for name in ("gen_ai.tool.name", "gen_ai.request.model", "aims.resource"):
        told = span(
            attribute("gen_ai.operation.name", "chat"), attribute(name, "Pay Nordwind"), attribute("aims.txn", "t")
        )
        assert export(request(told)).json()["dropped"] == {"malformed": 1}, name


def test_spans_of_somebody_elses_transaction_are_dropped(reporting: Reporting, export: Callable[..., Any]) -> None:
    told = span(attribute("gen_ai.operation.name", "chat"), attribute("aims.txn", "txn_of_others"))
    assert export(request(told)).json()["dropped"] == {"not_a_party": 1}


def test_what_is_no_otlp_request_is_refused(export: Callable[..., Any]) -> None:
    bad = ("", "[]", "{", '{"resourceSpans":{}}', '{"resourceSpans":[1]}', '{"a":1,"a":2}', '{"a":NaN}', "[" * 5000)
    for body in bad:
        assert problem(export(body)) == (400, "invalid_spans"), body[:20]


def test_too_many_spans_are_refused_whole(export: Callable[..., Any]) -> None:
    assert problem(export(request(*[span()] * 501))) == (400, "invalid_spans")


def test_protobuf_is_not_taken(reporting: Reporting) -> None:
    answer = reporting.send("x", path=OTLP, content_type="application/x-protobuf")
    assert problem(answer) == (415, "unsupported_media_type")


def test_spans_need_a_token_with_the_scope(reporting: Reporting, export: Callable[..., Any]) -> None:
    assert problem(export(request(span()), token=""))[0] == 401
