"""A story from entries: calls put together, gaps, causes, and the drawing of it. Pure: no database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from audit.timeline import story as telling
from audit.timeline.happened import CONSOLE, Happened
from audit.timeline.layout import ROW, kind_of, lay_out, shortened
from audit.timeline.story import Story, tell
from audit.timeline.words import short_of

BEGUN = datetime(2026, 11, 28, 10, tzinfo=UTC)
A, B, R = "spiffe://example.org/a", "spiffe://example.org/b", "https://r.example/"


class Tape:
    """Entries, one a second."""

    def __init__(self) -> None:
        self.found: list[Happened] = []

    def add(self, part: str, *, by: str = A, agent: str | None = A, at_s: float | None = None, **more: Any) -> Happened:
        index = len(self.found)
        known = {"subject": None, "resource": R, "action": "act", "decision": None, "txn": "t"}
        known |= {name: more.pop(name) for name in list(more) if name in known}
        one = Happened(
            index=index, at=BEGUN + timedelta(seconds=index if at_s is None else at_s), type=f"x.{part}", title=part,
            tone="info", part=part, by=by, agent=agent, data=more, **known,
        )  # fmt: skip
        self.found.append(one)
        return one

    def issued(self, jti: str, **more: Any) -> Happened:
        told: dict[str, Any] = {"jti": jti, "policies": ["p"], "policy_version": 3}
        return self.add("issue", **(told | more))

    def used(self, jti: str, by: str = R) -> Happened:
        return self.add("use", by=by, jti=jti, action=None)

    def said(self, kind: str, side: str = "agent", **more: Any) -> Happened:
        return self.add(
            "report", by=more.pop("by", A if side == "agent" else R), kind=kind, side=side, report="h", **more
        )

    def story(self, **more: Any) -> Story:
        return tell(self.found, now=BEGUN + timedelta(hours=2), **more)


def test_one_call_has_three_witnesses_and_the_authority_that_it_rests_on() -> None:
    tape = Tape()
    tape.issued("j1", request="apr_1")
    tape.said("tool.call", span_id="a1", token="j1")
    tape.used("j1")
    tape.said("action.executed", "resource", parent_id="a1", outcome="success", token="j1")
    tape.said("tool.result", span_id="a1", outcome="success")
    story = tape.story(grants={"j1": ["grt_1"]})
    _, call = story.steps
    assert call.witnesses == {"agent", "resource", "console"} and call.outcome == "success" and call.uses == 1
    assert (call.source, call.target) == (A, R) and [each.index for each in call.entries] == [1, 2, 3, 4]
    assert call.authority == telling.Authority(
        token="j1", request="apr_1", grants=("grt_1",), policies=("p",), policy_version=3
    )
    assert story.gaps == {} and story.requests == ("apr_1",) and story.agents == {A}


def test_words_without_a_span_meet_by_what_they_are_about() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.said("tool.call", details_hash="d1")
    tape.said("tool.call", details_hash="d2")
    tape.said("action.executed", "resource", details_hash="d1")
    tape.said("action.executed", "resource", details_hash="d2")
    calls = tape.story().steps[1:]
    assert [[each.index for each in call.entries] for call in calls] == [[1, 3], [2, 4]]


def test_a_use_of_an_unreported_call_is_a_row_and_more_uses_are_counted() -> None:
    tape = Tape()
    tape.issued("j1")
    for _ in range(3):
        tape.used("j1")
    (_, call) = tape.story().steps
    assert call.uses == 3 and call.witnesses == {"console"} and call.gaps == () and short_of(call) == "Used a token ×3"


def test_authorized_and_never_used_is_a_gap_once_the_token_ran_out() -> None:
    tape = Tape()
    over, open_ = int(BEGUN.timestamp()) + 60, int(BEGUN.timestamp()) + 10**6
    tape.issued("j1", expires_at=over)
    tape.issued("j2", expires_at=open_, agent=B)
    tape.issued("j3", expires_at=over, agent=B, parent="j2", resource="https://s.example/")
    assert [step.gaps for step in tape.story().steps] == [("never_used",), (), ("never_used",)]
    assert tape.story(is_whole=False).gaps == {}  # what is not on this page may stand on the next


def test_used_and_never_authorized_is_a_gap() -> None:
    tape = Tape()
    tape.said("tool.call", resource="https://other.example/")
    tape.said("action.executed", "resource", resource="https://other.example/", by="https://other.example/", agent=B)
    assert [step.gaps for step in tape.story().steps] == [("unauthorized", "agent_alone"), ("unauthorized",)]


def test_a_model_needs_no_token_of_ours() -> None:
    tape = Tape()
    tape.said("llm.call", resource=None, model="m-1", span_id="s")
    tape.said("llm.result", resource=None, model="m-1", span_id="s", outcome="success")
    (step,) = tape.story().steps
    assert step.target == "model:m-1" and step.gaps == ()


def test_a_result_alone_is_a_gap_but_a_span_tells_both() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.said("tool.result", span_id="s1")
    assert tape.story().steps[1].gaps == ("result_alone", "agent_alone")
    tape.found.pop()
    tape.add("report", kind="tool.result", side="agent", report=None, resource=None, tool="sh", span_id="s1")
    assert tape.story().steps[1].gaps == ()


def test_one_side_alone_is_a_gap_where_the_other_speaks() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.said("tool.call", span_id="s1", token="j1")
    tape.said("action.executed", "resource", parent_id="s1", token="j1")
    tape.said("tool.call", span_id="s2", token="j1")
    tape.said("action.executed", "resource", action="another", token="j1")
    assert [step.gaps for step in tape.story().steps[1:]] == [(), ("agent_alone",), ("resource_alone",)]


def test_two_sides_that_differ_and_an_odd_trace_are_gaps() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.said("tool.call", span_id="s1", details_hash="d1")
    tape.said("action.executed", "resource", parent_id="s1", details_hash="d2", is_trace_odd=True)
    assert tape.story().steps[1].gaps == ("different", "odd_trace")


def test_a_refusal_names_what_took_the_authority_away_and_that_its_own_cause() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.issued("j2", agent=B, parent="j1", resource="https://s.example/")
    tape.add("change", by="usr_ada", grant="grt_1")
    tape.add("change", by="usr_ada", grant="grt_1", jtis=["j1", "j2", "j9"], reason="grant_revoked")
    tape.said("action.refused", "resource", token="j1")
    steps = tape.story().steps
    assert [step.because for step in steps] == [None, None, None, 3, 4]
    assert steps[3].reaches == (A, B) and (steps[3].source, steps[3].target) == (CONSOLE, A)


def test_an_echo_belongs_to_what_it_confirms() -> None:
    tape = Tape()
    tape.add("ask", request="apr_1")
    tape.add("answer", by="usr_ada", request="apr_1")
    tape.add("echo", by="usr_ada", request="apr_1")
    tape.add("echo", by="usr_ada", request="apr_2")
    steps = tape.story().steps
    assert [[each.index for each in step.entries] for step in steps] == [[0], [1, 2], [3]]
    assert tape.story().parties == ("usr_ada", CONSOLE, A)


def test_a_resource_stands_for_the_agent_that_runs_it() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.used("j1")
    story = tape.story(behind={R: B})
    assert story.steps[1].target == B and R not in story.parties


def test_reports_stand_where_their_reporter_says_and_ties_keep_the_logs_order() -> None:
    tape = Tape()
    tape.add("ask", at_s=5)
    tape.said("llm.call", resource=None, model="m", at_s=2)
    tape.add("note", at_s=5)
    assert [step.first.index for step in tape.story().steps] == [1, 0, 2]


def test_the_drawing_has_a_row_a_step_and_keeps_words_short() -> None:
    tape = Tape()
    tape.issued("j1")
    tape.said("tool.call", action="a" * 200, token="j1")
    tape.add("note", by="system", agent=None)
    story = tape.story()
    words = {step.number: short_of(step) for step in story.steps}
    drawn = lay_out(story, names={A: "<b>"}, words=words, clocks={})
    assert len(drawn.arrows) == 3 and drawn.arrows[1].y - drawn.arrows[0].y == ROW
    assert drawn.arrows[1].text.endswith("…") and drawn.arrows[1].whole == "a" * 200
    assert drawn.arrows[2].is_self and not drawn.arrows[0].is_self
    assert all(lane.left > 0 and lane.left + lane.width <= drawn.width for lane in drawn.lanes)
    assert [lane.kind for lane in drawn.lanes] == ["console", "agent", "place"]


def test_every_party_has_a_kind_and_short_is_short() -> None:
    kinds = {
        CONSOLE: "console",
        A: "agent",
        R: "place",
        "usr_ada": "person",
        "cli:root": "operator",
        "model:m": "place",
        "wimse://x/y": "agent",
    }
    assert {party: kind_of(party) for party in kinds} == kinds
    assert (shortened("abc", 3), shortened("abcd", 3), shortened("ab", 1)) == ("abc", "ab…", "a…")


def test_five_hundred_steps_of_twenty_agents_are_told_within_a_second() -> None:
    tape = Tape()
    for number in range(500):
        agent, jti = f"spiffe://example.org/{number % 20}", f"j{number}"
        tape.issued(jti, agent=agent)
        tape.said("tool.call", agent=agent, by=agent, span_id=f"s{number}", token=jti)
        tape.add("use", by=R, agent=agent, jti=jti, action=None)
        tape.said("action.executed", "resource", agent=agent, parent_id=f"s{number}", token=jti)
    begun = time.process_time()
    story = tape.story()
    lay_out(story, names={}, words={}, clocks={})
    assert time.process_time() - begun < 1
    assert len(story.steps) == 1000 and story.gaps == {}
