"""Each rule against streams that it must see and streams that it must not. Pure: no database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aims.observability.rules import RULES, SEVERITIES, Hit, Seen
from aims.observability.rules.seen import KEYS_MAX, State, kept

A, B, R, S = "spiffe://x.example/a", "spiffe://x.example/b", "https://r.example/", "https://s.example/"
DAY = 86_400
BEGUN = 1_795_860_000 - 1_795_860_000 % DAY + 12 * 3_600  # noon, UTC
Stream = list[tuple[float, str, dict[str, Any]]]  # seconds after the beginning, type, facts and data


def issued(
    at: float, agent: str = A, resource: str = R, txn: str = "t1", **more: Any
) -> tuple[float, str, dict[str, Any]]:
    return at, "authorization.token.issued", {"agent": agent, "by": agent, "resource": resource, "txn": txn, **more}


def reported(at: float, by: str = R, agent: str = A, **more: Any) -> tuple[float, str, dict[str, Any]]:
    side = "agent" if by.startswith("spiffe") else "resource"
    told = {"kind": "action.executed" if side == "resource" else "tool.call", "side": side, "txn": "t1"}
    return at, "observability.event.reported", {"by": by, "agent": agent, "resource": R, **told, **more}


def replay(at: float, agent: str = A) -> tuple[float, str, dict[str, Any]]:
    return (
        at,
        "authorization.token.refused",
        {"agent": agent, "by": agent, "code": "invalid_client", "reason": "replayed"},
    )


def refused(at: float) -> tuple[float, str, dict[str, Any]]:
    return at, "authorization.token.refused", {"agent": A, "by": A, "code": "access_denied", "reason": ""}


def yes(at: float, by: str = "usr_ada", request: str = "apr_1") -> tuple[float, str, dict[str, Any]]:
    return at, "approvals.decision.approved", {"by": by, "subject": by, "agent": A, "request": request}


def asked(at: float, request: str = "apr_1", reversibility: str = "irreversible") -> tuple[float, str, dict[str, Any]]:
    told = {"request": request, "reversibility": reversibility}
    return at, "authorization.request.opened", {"agent": A, "by": A, "resource": R, "txn": "t9", **told}


def used(at: float, agent: str = A, jti: str = "j", resource: str = R) -> tuple[float, str, dict[str, Any]]:
    return (
        at,
        "authorization.token.used",
        {"agent": agent, "by": resource, "resource": resource, "jti": jti, "txn": "t1"},
    )


def tick(at: float) -> tuple[float, str, dict[str, Any]]:
    return at, "audit.log.viewed", {"by": "usr_ben"}


def role(at: float, person: str = "usr_ada", by: str = "usr_adm", role: str = "approver") -> Any:
    return at, "people.role.given", {"by": by, "subject": person, "person": person, "role": role}


def given(at: float, by: str = "usr_ada", agent: str = A) -> Any:
    return at, "authorization.grant.given", {"by": by, "agent": agent, "resource": R, "grant": "grt_1"}


def agent_event(at: float, verb: str, agent: str = A) -> Any:
    return at, f"identifier.agent.{verb}", {"by": "usr_ada", "agent": agent}


HISTORY = [issued(number, txn=f"h{number}") for number in range(20)]
REPORTS = [reported(number * 600) for number in range(20)]
# rule, what the stream is, the stream, indexes of the evidence of each hit
TABLE: list[tuple[str, str, Stream, list[tuple[int, ...]]]] = [
    ("replay", "five within ten minutes", [replay(n * 60) for n in range(5)], [(0, 1, 2, 3, 4)]),
    ("replay", "four", [replay(n) for n in range(4)], []),
    ("replay", "five, but slowly", [replay(n * 300) for n in range(5)], []),
    ("replay", "five of two agents", [replay(n, agent=A if n % 2 else B) for n in range(5)], []),
    ("replay", "five other refusals", [refused(n) for n in range(5)], []),
    ("replay", "a code again", [(0, "authorization.code.reused", {"agent": A, "by": A, "code": "cod_1"})], [(0,)]),
    ("confused-deputy", "done where nothing was given", [issued(0), reported(1, by=S, resource=S)], [(0, 1)]),
    ("confused-deputy", "done by another", [issued(0), reported(1, agent=B)], [(0, 1)]),
    ("confused-deputy", "for another person", [issued(0, subject="usr_a"), issued(1, subject="usr_b")], [(0, 1)]),
    ("confused-deputy", "done as given", [issued(0), used(1), reported(2)], []),
    ("confused-deputy", "for the same person, further on", [
        issued(0, subject="usr_a"), issued(1, agent=B, resource=S, subject="usr_a"), used(2, agent=B, resource=S)], []),
    ("confused-deputy", "refused there", [issued(0), reported(1, by=S, resource=S, kind="action.refused")], []),
    ("confused-deputy", "an agent's own word", [issued(0), reported(1, by=A, resource=S)], []),
    ("confused-deputy", "a transaction that nobody knows", [reported(0)], []),
    ("own-power", "an agent gives itself a grant", [given(0, by=A)], [(0,)]),
    ("own-power", "a person gives themselves a role", [role(0, by="usr_ada")], [(0,)]),
    ("own-power", "a person gives", [given(0), role(1)], []),
    ("fresh-power", "a yes within the hour", [role(0), yes(3_000)], [(0, 1)]),
    ("fresh-power", "a yes later", [role(0), yes(4_000)], []),
    ("fresh-power", "a yes of another", [role(0), yes(10, by="usr_ben")], []),
    ("fresh-power", "a role without power", [role(0, role="auditor"), yes(10)], []),
    ("asked-until-let", "refused, given, used", [*map(refused, range(3)), given(5), issued(9)], [(0, 1, 2, 3, 4)]),
    ("asked-until-let", "refused twice", [refused(0), refused(1), given(5), issued(9)], []),
    ("asked-until-let", "given and not used", [*map(refused, range(3)), given(5)], []),
    ("asked-until-let", "used much later", [*map(refused, range(3)), given(5), issued(9_000)], []),
    ("asked-until-let", "told to ask a person", [
        *((at, kind, told | {"code": "interaction_required"}) for at, kind, told in map(refused, range(3))),
        given(5), issued(9)], []),
    ("unusual-sequence", "new, then irreversible", [*HISTORY, issued(30, resource=S), asked(60)], [(20, 21)]),
    ("unusual-sequence", "a new tool, then irreversible", [*HISTORY, reported(30, by=A, tool="sh"), asked(60)], [(20, 21)]),
    ("unusual-sequence", "new, then reversible", [
        *HISTORY, issued(30, resource=S), asked(60, reversibility="reversible")], []),
    ("unusual-sequence", "new, and much later irreversible", [*HISTORY, issued(30, resource=S), asked(700)], []),
    ("unusual-sequence", "an agent without a history", [issued(0), issued(1, resource=S), asked(2)], []),
    ("unusual-sequence", "where it always was", [*HISTORY, issued(30), asked(60)], []),
    ("quick-yes", "after two seconds", [asked(0), yes(2)], [(0, 1)]),
    ("quick-yes", "after three seconds", [asked(0), yes(3)], []),
    ("quick-yes", "another request", [asked(0), yes(1, request="apr_2")], []),
    ("streak", "ten in ten minutes", [yes(n * 60) for n in range(10)], [tuple(range(10))]),
    ("streak", "nine", [yes(n) for n in range(9)], []),
    ("streak", "ten, slowly", [yes(n * 120) for n in range(10)], []),
    ("streak", "ten of two people", [yes(n, by=f"usr_{n % 2}") for n in range(10)], []),
    ("streak", "a no between", [
        *(yes(n) for n in range(5)), (5, "approvals.decision.denied", {"by": "usr_ada"}), *(yes(n) for n in range(6, 14))],
     []),
    ("night", "three at three in Tokyo", [yes(6 * 3_600 + n, by="usr_tokyo") for n in range(3)], [(0, 1, 2)]),
    ("night", "three at noon", [yes(n) for n in range(3)], []),
    ("night", "two", [yes(6 * 3_600 + n, by="usr_tokyo") for n in range(2)], []),
    ("night", "a zone that there is not is UTC", [yes(13 * 3_600 + n, by="usr_mars") for n in range(3)], [(0, 1, 2)]),
    ("after-the-end", "used after suspension", [agent_event(0, "suspended"), used(6)], [(0, 1)]),
    ("after-the-end", "reported after retirement", [agent_event(0, "retired"), reported(9)], [(0, 1)]),
    ("after-the-end", "reported late, done before", [
        agent_event(0, "suspended"), reported(60, at_ms=(BEGUN - 10) * 1000)], []),
    ("after-the-end", "resumed meanwhile", [agent_event(0, "suspended"), agent_event(5, "resumed"), used(60)], []),
    ("after-the-end", "refused after suspension", [agent_event(0, "suspended"), reported(60, kind="action.refused")], []),
    ("after-the-end", "another agent", [agent_event(0, "suspended"), used(60, agent=B)], []),
    ("dead-agent", "thirty days of nothing", [agent_event(0, "registered"), tick(30 * DAY), tick(31 * DAY)], [(0,)]),
    ("dead-agent", "alive after fifteen", [agent_event(0, "registered"), issued(15 * DAY), tick(31 * DAY)], []),
    ("dead-agent", "retired", [agent_event(0, "registered"), agent_event(9, "retired"), tick(31 * DAY)], []),
    ("dead-agent", "others speak of it", [agent_event(0, "registered"), used(29 * DAY), tick(31 * DAY)], [(0,)]),
    ("silent-source", "stopped for two days", [*REPORTS, tick(2 * DAY), tick(3 * DAY)], [(19,)]),
    ("silent-source", "twelve hours", [*REPORTS, tick(DAY / 2)], []),
    ("silent-source", "it never said much", [*REPORTS[:19], tick(2 * DAY)], []),
    ("silent-source", "it speaks once a day", [*(reported(n * DAY) for n in range(20)), tick(22 * DAY)], []),
    ("unreported-uses", "ten in silence", [reported(0), *(used(n, jti=f"j{n}") for n in range(1, 11))], [tuple(range(1, 11))]),
    ("unreported-uses", "it never reports", [used(n, jti=f"j{n}") for n in range(20)], []),
    ("unreported-uses", "one token, reported", [reported(0, token="j"), *(used(n) for n in range(1, 30))], []),
    ("unreported-uses", "it reports between", [
        reported(0), *(used(n, jti=f"j{n}") for n in range(1, 9)), reported(9), *(used(n, jti=f"k{n}") for n in range(10, 18))],
     []),
]  # fmt: skip


def zone(ref: str) -> str:
    return {"usr_tokyo": "Asia/Tokyo", "usr_mars": "Mars/Olympus"}.get(ref, "UTC")


def seen(stream: Stream) -> list[Seen]:
    return [_seen(index, *row) for index, row in enumerate(stream)]


def _seen(index: int, at: float, kind: str, told: dict[str, Any]) -> Seen:
    names = ("by", "agent", "subject", "resource", "action", "decision", "txn")
    facts: dict[str, Any] = {name: told.get(name) for name in names} | {"by": told.get("by", "system")}
    data = {name: value for name, value in told.items() if name not in names}
    return Seen(index=index, at_s=BEGUN + at, happened_s=BEGUN + at, type=kind, data=data, **facts)


def hits(rule_id: str, stream: Stream) -> list[Hit]:
    """Feed a stream, the state going through JSON each time as it does between two sweeps."""
    rule, state, found = RULES[rule_id], "{}", []
    for entry in seen(stream):
        if rule.types and entry.type not in rule.types:
            continue
        held: State = json.loads(state)
        found += list(rule.watch(entry, held, rule.limits, zone))
        state = json.dumps(held)
    return found


@pytest.mark.parametrize(
    ("rule", "stream", "expected"), [row[:1] + row[2:] for row in TABLE], ids=[f"{r[0]}: {r[1]}" for r in TABLE]
)
def test_a_rule_sees_what_it_must_and_nothing_else(rule: str, stream: Stream, expected: list[tuple[int, ...]]) -> None:
    assert [hit.indexes for hit in hits(rule, stream)] == expected


def test_every_rule_has_a_stream_that_it_sees_and_two_that_it_does_not() -> None:
    for rule in RULES.values():
        told = [row[3] for row in TABLE if row[0] == rule.id]
        assert any(told) and len([row for row in told if not row]) >= 1, rule.id
        assert rule.severity in SEVERITIES and rule.title and rule.says


def test_a_rule_forgets_the_oldest_of_what_is_too_much() -> None:
    many = KEYS_MAX + KEYS_MAX // 10
    state: State = {"x": {f"k{number}": [number] for number in range(many)}}
    assert len(kept(state, "x")) == many
    state["x"]["new"] = [many]
    assert len(kept(state, "x")) == KEYS_MAX and "new" in state["x"]
    assert f"k{many - KEYS_MAX}" not in state["x"] and f"k{many - KEYS_MAX + 1}" in state["x"]
