"""Calls, put together from what both sides report and from what we were asked: one call, up to three witnesses. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from audit.timeline.happened import Happened

# Who says so. Only the last is our own observation.
AGENT_SAYS, RESOURCE_SAYS, WE_SAW = "agent", "resource", "console"


@dataclass(kw_only=True)
class Call:
    """One call of an agent: call, result: the agent's reports; there: the resource's; uses: when we were asked about its token."""

    agent: str | None
    target: str
    action: str | None
    jti: str | None
    call: Happened | None = None
    result: Happened | None = None
    there: Happened | None = None
    uses: list[Happened] = field(default_factory=list)

    @property
    def entries(self) -> list[Happened]:
        """Everything it is made of, in the order of the log."""
        said = [each for each in (self.call, self.result, self.there) if each]
        return sorted([*said, *self.uses], key=lambda each: each.index)

    @property
    def at(self) -> datetime:
        """When it began, by the earliest word about it."""
        return min(each.at for each in self.entries)

    @property
    def witnesses(self) -> frozenset[str]:
        """Who says that it happened."""
        said = {AGENT_SAYS} if self.call or self.result else set()
        said |= {RESOURCE_SAYS} if self.there else set()
        return frozenset(said | ({WE_SAW} if self.uses else set()))

    @property
    def outcome(self) -> str | None:
        """How it ended: by the resource, which knows, or else by the agent."""
        if self.there is not None and self.there.kind == "action.refused":
            return "refused"
        told = [each.text("outcome") for each in (self.there, self.result) if each]
        return next((outcome for outcome in told if outcome), None)


def calls_of(reports: Iterable[Happened]) -> list[Call]:
    """Return the calls in reports and uses, which come in the order in which they happened."""
    making = _Making()
    for each in reports:
        making.add(each)
    return making.calls


class _Making:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._by_span: dict[tuple[str, str], Call] = {}
        self._by_jti: dict[str, Call] = {}

    def add(self, each: Happened) -> None:
        if each.part == "use":
            self._used(each)
        elif each.is_by_agent:
            self._said_by_agent(each)
        else:
            self._said_there(each)

    def _said_by_agent(self, each: Happened) -> None:
        is_result = each.kind.endswith(".result")
        span = (each.by, each.text("span_id") or "")
        found = self._by_span.get(span) if span[1] else None
        if found is None:
            found = self._open(each, "result" if is_result else "call") or self._new(each)
        if is_result:
            found.result = found.result or each
        else:
            found.call = found.call or each
        if span[1]:
            self._by_span[span] = found

    def _said_there(self, each: Happened) -> None:
        span = (each.agent or "", each.text("parent_id") or "")
        found = self._by_span.get(span) if span[1] else None
        if found is None or found.there is not None:
            found = self._open(each, "there") or self._new(each)
        found.there = each
        if span[1] and each.agent:
            self._by_span.setdefault(span, found)

    def _used(self, each: Happened) -> None:
        """A use belongs to the newest call with its token that has none; a further one to the newest call with it."""
        known = [call for call in reversed(self.calls) if call.jti and call.jti == each.jti]
        found = next((call for call in known if not call.uses), known[0] if known else None)
        (found or self._new(each)).uses.append(each)

    def _open(self, each: Happened, side: str) -> Call | None:
        """Return the newest call of the same agent, place and deed that lacks this word."""
        for call in reversed(self.calls):
            if getattr(call, side) is None and _fits(call, each):
                return call
        return None

    def _new(self, each: Happened) -> Call:
        call = Call(agent=each.agent, target=_target(each), action=each.action, jti=each.jti)
        self.calls.append(call)
        return call


def _fits(call: Call, each: Happened) -> bool:
    """Return whether a word may be about this call: nothing that both say differs, and one of them has no span to tell."""
    if (
        (call.agent, call.target) != (each.agent, _target(each))
        or None not in (call.jti, each.jti)
        and call.jti != each.jti
    ):
        return False
    if None not in (call.action, each.action) and call.action != each.action:
        return False
    others = [known.text("details_hash") for known in call.entries if known.text("details_hash")]
    mine = each.text("details_hash")
    if mine and others and mine not in others:
        return False
    spans = {known.text("span_id") for known in (call.call, call.result) if known}
    is_of_agent = each.is_by_agent and each.part == "report"
    told = each.text("span_id") if is_of_agent else each.text("parent_id")
    return not (told and spans - {None} and told not in spans)


def _target(each: Happened) -> str:
    """Return where a call went: a resource, another agent, a tool or a model, whichever was named."""
    if each.resource:
        return each.resource
    if peer := each.text("peer"):
        return peer
    if model := each.text("model"):
        return f"model:{model}"
    tool = each.text("tool")
    return f"tool:{tool}" if tool else each.kind.partition(".")[0] or each.by
