"""Signed reports: who may say what about which transaction, once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey

from aims.authorization.models import AccessToken
from aims.authorization.services import agents as stopping
from aims.console.management import audience, may_manage
from aims.kit import clock
from aims.kit.ids import b64url
from aims.observability import services
from aims.observability.models import TakenEvent
from audit.models import FailureCount
from tests.protocol.events.conftest import ENDPOINT, TRACE, Reporting, entries, hash_of, make_reporting, problem
from tests.support.domain import signed_with
from tests.support.log import written_once
from tests.support.oauth_client import BY, Machine
from tests.support.racing import at_once

__all__ = ["written_once"]
pytestmark = pytest.mark.django_db
CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"iat": lambda now: now - 601}, "not_now"),
    ({"iat": lambda now: now + 31}, "not_now"),
    ({"toe": lambda now: now - 24 * 3600 - 60}, "not_now"),
    ({"toe": lambda now: now + 60}, "not_now"),
    ({"iat": None}, "invalid_event"),
    ({"iat": "soon"}, "invalid_event"),
    ({"iat": True}, "invalid_event"),
    ({"iat": 1e30}, "invalid_event"),
    ({"aud": "https://other.example/"}, "invalid_event"),
    ({"aud": None}, "invalid_event"),
    ({"aud": ["https://other.example/", "x"]}, "invalid_event"),
    ({"jti": None}, "invalid_event"),
    ({"jti": ""}, "invalid_event"),
    ({"jti": "x" * 256}, "invalid_event"),
    ({"jti": "a\0b"}, "invalid_event"),
    ({"txn": None}, "invalid_event"),
    ({"txn": "a b"}, "invalid_event"),
    ({"txn": 7}, "invalid_event"),
    ({"exp": 1}, "invalid_event"),
]
BODIES = [
    ("", "application/jwt", 400, "invalid_batch"),
    ("é", "application/jwt", 400, "invalid_batch"),
    ("a.b", "application/jwt", 400, "invalid_signature"),
    ("x" * (17 * 1024), "application/jwt", 400, "invalid_signature"),
    ("x" * (257 * 1024), "application/jwt", 413, "too_large"),
    ("[]", "application/json", 400, "invalid_batch"),
    ("{}", "application/json", 400, "invalid_batch"),
    ("[1]", "application/json", 400, "invalid_batch"),
    ("[[" * 50, "application/json", 400, "invalid_batch"),
    (json.dumps(["a"] * 101), "application/json", 400, "invalid_batch"),
    (json.dumps(["x" * (257 * 1024)]), "application/json", 413, "too_large"),
    ("a.b.c", "text/plain", 415, "unsupported_media_type"),
]
MEMBERS: list[tuple[dict[str, Any], str]] = [
    ({"kind": None}, "invalid_event"),
    ({"kind": "tool.guess"}, "invalid_event"),
    ({"kind": 7}, "invalid_event"),
    ({"kind": ["tool.call"]}, "invalid_event"),
    ({"outcome": "fine"}, "invalid_event"),
    ({"outcome": {}}, "invalid_event"),
    ({"resource": "a b"}, "invalid_event"),
    ({"resource": "x" * 2049}, "invalid_event"),
    ({"action": "pay it all"}, "invalid_event"),
    ({"tool": "x" * 201}, "invalid_event"),
    ({"duration_ms": -1}, "invalid_event"),
    ({"duration_ms": 1.5}, "invalid_event"),
    ({"input_tokens": True}, "invalid_event"),
    ({"output_tokens": 10**13}, "invalid_event"),
    ({"arguments_hash": "sha-256:short"}, "invalid_event"),
    ({"token": "eyJhbGciOiJub25lIn0.e30."}, "invalid_event"),
    ({"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}, "invalid_event"),
    ({"traceparent": "ff" + TRACE[2:]}, "invalid_event"),
    ({"traceparent": TRACE + "-more"}, "invalid_event"),
    ({"traceparent": TRACE.upper()}, "invalid_event"),
    ({"parent": "0" * 16}, "invalid_event"),
    ({"parent": 5}, "invalid_event"),
    ({"agent": "spiffe://acme.example/other"}, "invalid_event"),
    ({"colour": "red"}, "invalid_event"),
    ({"arguments": {"to": "Nordwind"}}, "content_refused"),
    ({"prompt": "Pay"}, "content_refused"),
    ({"Content": "Pay"}, "content_refused"),
    ({"result": "ok"}, "content_refused"),
]


@pytest.mark.spec("draft-ietf-wimse-aims", "Observability", "a report is one entry, as a claim of its reporter")
def test_an_agents_signed_event_is_one_entry_as_its_claim(reporting: Reporting) -> None:
    said = {"traceparent": TRACE, "token": hash_of(reporting.jti), "outcome": "success", "arguments_hash": hash_of("a")}
    text = reporting.courier(event=said | {"action": "accounts.read", "duration_ms": 12, "tool": "ledger"})
    answer = reporting.send(text)
    assert answer.status_code == 200, answer.content
    result = answer.json()["results"][0]
    (entry,) = entries()
    assert result == {"status": "accepted", "event_id": entry["id"], "code": None, "detail": None}
    assert entry["by"] == entry["agent"] == reporting.stage.courier.client_id
    assert (entry["txn"], entry["resource"], entry["action"]) == (
        reporting.txn, reporting.stage.pay.identifier, "accounts.read",
    )  # fmt: skip
    assert entry["decision"] == "not_applicable"
    data = entry["data"]
    assert data["side"] == "agent" and data["report"] == hash_of(text) and data["kind"] == "tool.call"
    assert data["token"] == reporting.jti and data["duration_ms"] == 12
    assert (data["trace_id"], data["span_id"], data["is_trace_odd"]) == (TRACE[3:35], TRACE[36:52], False)


@pytest.mark.spec("RFC 8935", "5.1", "a signed event vouches for who issued it")
def test_a_resource_server_needs_its_signature_alone(reporting: Reporting) -> None:
    answer = reporting.at_server(reporting.server(event={"details_hash": hash_of("d")}))
    assert answer.json()["results"][0]["status"] == "accepted"
    (entry,) = entries()
    assert entry["by"] == entry["resource"] == reporting.stage.pay.identifier
    assert entry["agent"] == reporting.stage.courier.client_id
    assert entry["data"]["side"] == "resource" and entry["data"]["details_hash"] == hash_of("d")


def test_a_batch_is_judged_event_by_event(reporting: Reporting) -> None:
    good, bad = reporting.courier(), reporting.courier(event={"kind": "tool.guess"})
    answer = reporting.send([good, bad, good])
    told = [(each["status"], each["code"]) for each in answer.json()["results"]]
    assert told == [("accepted", None), ("refused", "invalid_event"), ("known", None)]
    assert len(entries()) == 1
    (refused,) = entries("observability.report.refused")
    assert refused["data"] == {"code": "invalid_event", "count": 1}


@pytest.mark.spec("RFC 8417", "2.2", "jti: the same event twice is the same event")
def test_the_same_event_again_is_known_and_no_second_entry(reporting: Reporting) -> None:
    text = reporting.courier()
    first, again = reporting.send(text).json()["results"][0], reporting.send(text).json()["results"][0]
    assert again["status"] == "known" and again["event_id"] == first["event_id"]
    assert len(entries()) == 1


def test_another_event_of_the_same_jti_is_refused(reporting: Reporting) -> None:
    reporting.send(reporting.courier(jti="one"))
    assert problem(reporting.send(reporting.courier(jti="one", event={"outcome": "failure"}))) == (409, "jti_reused")
    assert len(entries()) == 1


def test_the_same_jti_of_two_reporters_is_two_events(reporting: Reporting) -> None:
    assert reporting.send(reporting.courier(jti="one")).status_code == 200
    assert reporting.at_server(reporting.server(jti="one")).status_code == 200
    assert len(entries()) == 2


@pytest.mark.django_db(transaction=True)
def test_of_one_event_sent_twice_at_once_one_is_an_entry() -> None:
    reporting = make_reporting()
    text = reporting.server()
    answers = at_once(*[lambda: Machine("x").http.post(ENDPOINT, text, content_type="application/jwt")] * 2)
    assert sorted(each.json()["results"][0]["status"] for each in answers) == ["accepted", "known"]
    assert len(entries()) == 1


@pytest.mark.spec("RFC 8725", "3.11", "only the explicit type is taken")
def test_a_token_of_another_type_is_no_event(reporting: Reporting) -> None:
    for typ in ("JWT", "at+jwt", "client-authentication+jwt", "secevent+jwt"):
        assert problem(reporting.send(reporting.courier(typ=typ))) == (400, "invalid_signature"), typ


@pytest.mark.spec("RFC 8725", "3.2", "alg none is refused")
def test_no_signature_of_ours_is_no_signature(reporting: Reporting) -> None:
    good = reporting.courier()
    parts = good.split(".")
    key = reporting.stage.courier.key
    made = signed_with({"alg": "ES256", "typ": "aims-event+jwt", "kid": key.thumbprint()}, {}, key=key).split(".")
    for header in ({"alg": "none"}, {"alg": "HS256"}, {"crit": ["b64"], "b64": False}):
        forged = b64url(json.dumps({"alg": "ES256", "typ": "aims-event+jwt"} | header).encode())
        assert problem(reporting.send(f"{forged}.{parts[1]}.{made[2]}")) == (400, "invalid_signature"), header


def test_a_key_that_is_not_the_reporters_signs_nothing(reporting: Reporting) -> None:
    stranger = ECKey.generate_key("P-256")
    assert problem(reporting.send(reporting.courier(key=stranger))) == (400, "invalid_signature")
    borrowed = reporting.courier(key=reporting.stage.server.key)
    assert problem(reporting.send(borrowed)) == (400, "invalid_signature")
    assert problem(reporting.at_server(reporting.server(key=stranger))) == (400, "invalid_signature")
    assert FailureCount.objects.filter(code="report_invalid_signature").exists()
    assert entries() == []


def test_without_a_token_one_bad_event_refuses_the_call(reporting: Reporting) -> None:
    stranger = ECKey.generate_key("P-256")
    answer = reporting.at_server([reporting.server(), reporting.server(key=stranger)])
    assert problem(answer) == (400, "invalid_signature")
    assert entries() == []


def test_an_agent_reports_with_its_token_not_without(reporting: Reporting) -> None:
    answer = reporting.at_server(reporting.courier())
    assert problem(answer) == (401, "token_needed")
    assert entries() == []


def test_a_token_without_the_scope_reports_nothing(reporting: Reporting) -> None:
    other = reporting.stage.courier.token(scope="accounts.read").json()["access_token"]
    assert problem(reporting.send(reporting.courier(), token=other)) == (401, "invalid_token")


def test_nobody_reports_in_anothers_name(reporting: Reporting) -> None:
    assert problem(reporting.send(reporting.server())) == (403, "other_reporter")
    assert entries() == []


def test_a_stopped_agent_reports_nothing_more(reporting: Reporting) -> None:
    text = reporting.courier()
    stopping.suspend_agent(reporting.stage.agent, reason="x", by=BY, now=clock.now())
    assert problem(reporting.send(text)) == (401, "invalid_token")


def test_a_transaction_that_there_is_not_is_nobodys(reporting: Reporting) -> None:
    assert problem(reporting.send(reporting.courier(txn="txn_nowhere"))) == (403, "not_a_party")
    assert problem(reporting.at_server(reporting.server(txn="x" * 40))) == (403, "not_a_party")


def test_an_event_about_somebody_elses_transaction_is_refused_and_recorded(reporting: Reporting) -> None:
    AccessToken.objects.filter(jti=reporting.jti).update(txn="txn_of_others")
    answer = reporting.at_server(reporting.server())
    assert problem(answer) == (403, "not_a_party")
    (refused,) = entries("observability.report.refused")
    assert refused["by"] == reporting.stage.pay.identifier and refused["data"]["code"] == "not_a_party"
    assert entries() == []


def test_a_claim_that_is_not_what_it_must_be_is_named(reporting: Reporting) -> None:
    now, courier = clock.epoch_s(), reporting.stage.courier
    for changed, code in CLAIMS:
        said = {name: value(now) if callable(value) else value for name, value in changed.items()}
        assert problem(reporting.send(reporting.courier(**said))) == (400, code), changed
    base = {"iss": courier.client_id, "iat": now, "jti": "j", "txn": reporting.txn, "aud": audience() + "events/"}
    nothing: list[Any] = [None, [], "tool.call"]
    for event in nothing:
        text = signed_with({"alg": "ES256", "typ": "aims-event+jwt"}, base | {"event": event}, key=courier.key)
        assert problem(reporting.send(text)) == (400, "invalid_event"), event
    assert entries() == []


def test_a_member_that_is_not_what_it_must_be_is_named_and_content_is_refused(reporting: Reporting) -> None:
    for event, code in MEMBERS:
        assert problem(reporting.send(reporting.courier(event=event))) == (400, code), event
    assert entries() == []


def test_a_resource_server_speaks_of_itself_and_names_the_agent(reporting: Reporting) -> None:
    elsewhere = reporting.server(event={"resource": "https://other.example/"})
    assert problem(reporting.at_server(elsewhere)) == (400, "invalid_event")
    assert problem(reporting.at_server(reporting.server(event={"agent": None}))) == (400, "invalid_event")


def test_a_body_that_holds_no_events_is_refused(reporting: Reporting) -> None:
    for body, kind, status, code in BODIES:
        assert problem(reporting.send(body, content_type=kind)) == (status, code), body[:40]


def test_nothing_else_can_be_done_there(reporting: Reporting) -> None:
    headers = {"authorization": f"Bearer {reporting.token}"}
    for method in ("GET", "PUT", "DELETE"):
        answer = reporting.stage.courier.http.generic(method, ENDPOINT, headers=headers)
        assert problem(answer) == (405, "method_not_allowed")


def test_a_transaction_takes_so_many_events_and_no_more(reporting: Reporting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "EVENTS_MAX_TXN", 2)
    results = reporting.send([reporting.courier() for _ in range(3)]).json()["results"]
    assert sorted(each["status"] for each in results) == ["accepted", "accepted", "refused"]
    assert len(entries()) == 2


@pytest.mark.spec("Trace Context", "3.2", "a trace id is the caller's choice: one of two transactions is marked")
def test_a_trace_of_two_transactions_and_a_second_trace_of_one_are_marked(reporting: Reporting) -> None:
    other = TRACE.replace("4bf9", "5bf9")
    for trace in (TRACE, TRACE, other):
        reporting.send(reporting.courier(event={"traceparent": trace}))
    assert [entry["data"]["is_trace_odd"] for entry in entries()] == [False, False, True]


def test_a_token_that_is_not_of_the_transaction_is_not_taken_over(reporting: Reporting) -> None:
    reporting.send(reporting.courier(event={"token": hash_of("another")}))
    assert entries()[0]["data"]["token"] is None


def test_who_may_only_report_does_not_count_as_managing(reporting: Reporting) -> None:
    assert not may_manage(reporting.stage.agent, now=clock.now())


def test_what_can_not_come_again_is_forgotten(reporting: Reporting) -> None:
    reporting.send(reporting.courier())
    services.forget(now=clock.now())
    assert TakenEvent.objects.count() == 1
    services.forget(now=clock.now() + timedelta(minutes=12))
    assert TakenEvent.objects.count() == 0
