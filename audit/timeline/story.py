"""A story: what happened in order, who acted on whom, by what authority, why that ended, and where something is missing. Pure.

What we enforced and what others report stay apart: a call says who vouches for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from audit.timeline.calls import AGENT_SAYS, RESOURCE_SAYS, WE_SAW, Call, calls_of
from audit.timeline.happened import CONSOLE, ENDED, PARENT, Happened

# What is missing, or does not fit.
NEVER_USED, NOT_USED_YET = "never_used", "not_used_yet"
UNAUTHORIZED, RESULT_ALONE = "unauthorized", "result_alone"
AGENT_ALONE, RESOURCE_ALONE = "agent_alone", "resource_alone"
ODD_TRACE, DIFFERENT = "odd_trace", "different"
GAPS = (UNAUTHORIZED, DIFFERENT, RESULT_ALONE, AGENT_ALONE, RESOURCE_ALONE, NEVER_USED, ODD_TRACE)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """By what a step was allowed. token: jti. request: of a person's approval. policies: ids that let it be."""

    token: str | None = None
    request: str | None = None
    grants: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    policy_version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One row. source, target: parties; equal where somebody acts alone. entries: what it rests on, never empty.

    part: of ``audit.write.Part``, or ``call``. witnesses: of a call, who says so. gaps: what is missing. because: the number
    of the step that took the authority for it away, None where nothing did. reaches: whose tokens it ended.
    """

    number: int
    at: datetime
    part: str
    title: str
    tone: str
    source: str
    target: str
    action: str | None
    outcome: str | None
    authority: Authority
    entries: tuple[Happened, ...]
    witnesses: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()
    because: int | None = None
    uses: int = 0
    reaches: tuple[str, ...] = ()

    @property
    def first(self) -> Happened:
        """The entry that it is called by."""
        return self.entries[0]


@dataclass(frozen=True, kw_only=True)
class Story:
    """Steps in order, and the parties in the order in which they enter. is_whole: no page before or after this one.

    gaps: how often each is found.
    """

    steps: tuple[Step, ...]
    parties: tuple[str, ...]
    is_whole: bool
    gaps: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> tuple[str, ...]:
        """The approval requests in it, in their order."""
        named = (each.request for step in self.steps for each in step.entries)
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def agents(self) -> frozenset[str]:
        """The agents in it."""
        return frozenset(each.agent for step in self.steps for each in step.entries if each.agent)


def tell(
    happened: Iterable[Happened],
    *,
    now: datetime,
    is_whole: bool = True,
    behind: Mapping[str, str] | None = None,
    grants: Mapping[str, Sequence[str]] | None = None,
) -> Story:
    """Return the story of what happened. behind: the agent that runs a resource, and stands for it. grants: by jti."""
    ordered = sorted(happened, key=lambda each: (each.at, each.index))
    known = _Known(ordered, now=now, is_whole=is_whole, behind=behind or {}, grants=grants or {})
    calls = calls_of(each for each in ordered if each.part in ("use", "report"))
    steps = _with_echoes(known, (each for each in ordered if each.part not in ("use", "report")))
    steps += [known.call(call) for call in calls]
    steps.sort(key=lambda step: (step.at, step.first.index))
    numbered = known.with_causes(replace(step, number=number) for number, step in enumerate(steps, 1))
    counts = {gap: sum(gap in step.gaps for step in numbered) for gap in GAPS}
    return Story(
        steps=tuple(numbered),
        parties=_parties(numbered),
        is_whole=is_whole,
        gaps={gap: count for gap, count in counts.items() if count},
    )


def _with_echoes(known: _Known, happened: Iterable[Happened]) -> list[Step]:
    """Return the rows that are no calls. An echo belongs to the newest row about the same request, if there is one."""
    steps: list[Step] = []
    places: dict[str, int] = {}
    for each in happened:
        place = places.get(each.request or "") if each.part == "echo" else None
        if place is not None:
            steps[place] = replace(steps[place], entries=(*steps[place].entries, each))
            continue
        if each.request:
            places[each.request] = len(steps)
        steps.append(known.step(each))
    return steps


class _Known:
    """What a step needs to know of all others."""

    def __init__(
        self,
        ordered: Sequence[Happened],
        *,
        now: datetime,
        is_whole: bool,
        behind: Mapping[str, str],
        grants: Mapping[str, Sequence[str]],
    ) -> None:
        self._now, self._is_whole, self._behind, self._grants = now, is_whole, behind, grants
        self._issued = {each.jti: each for each in ordered if each.part == "issue" and each.jti}
        self._places = {(each.agent, each.resource) for each in ordered if each.part == "issue"}
        self._used = {each.jti for each in ordered if each.part in ("use", "report")}
        self._used |= {each.text(PARENT) for each in ordered if each.part == "issue"}
        said = [each for each in ordered if each.part == "report"]
        self._done = {(each.agent, each.resource) for each in said}
        self._agents_that_report = {each.by for each in said if each.is_by_agent}
        self._resources_that_report = {each.by for each in said if not each.is_by_agent}

    def step(self, each: Happened) -> Step:
        """Return the row of an entry that is no call."""
        source, target = self._ends(each)
        return Step(
            number=0,
            at=each.at,
            part=each.part,
            title=each.title,
            tone=each.tone,
            source=source,
            target=target,
            action=each.action,
            outcome=None,
            authority=self._authority(each.jti, each),
            entries=(each,),
            gaps=self._gaps_of_issue(each),
            reaches=self._reached(each),
        )

    def call(self, call: Call) -> Step:
        """Return the row of a call."""
        entries = tuple(call.entries)
        first = call.call or call.result or call.there or entries[0]
        outcome = call.outcome
        return Step(
            number=0,
            at=call.at,
            part="call",
            title=first.title,
            tone="no" if outcome in ("refused", "failure", "timeout") else "info",
            source=call.agent or first.by,
            target=self._behind.get(call.target, call.target),
            action=call.action or next((each.action for each in entries if each.action), None),
            outcome=outcome,
            authority=self._authority(call.jti, first),
            entries=entries,
            witnesses=call.witnesses,
            gaps=self._gaps_of_call(call),
            uses=len(call.uses),
        )

    def with_causes(self, steps: Iterable[Step]) -> list[Step]:
        """Return the steps, those that were refused with the step that had ended their token, and that with its own cause."""
        told: list[Step] = []
        ended: dict[str, int] = {}
        causes: dict[str, int] = {}  # by grant and by agent
        for step in steps:
            because = None
            if step.part == "change":
                names = [name for name in (step.first.text("grant"), step.first.agent) if name]
                jtis = step.first.data.get(ENDED)
                if isinstance(jtis, list):
                    because = next((causes[name] for name in names if name in causes), None)
                    ended |= {str(jti): step.number for jti in jtis}
                else:
                    causes |= dict.fromkeys(names, step.number)
            elif step.outcome == "refused" and step.authority.token:
                because = ended.get(step.authority.token)
            told.append(replace(step, because=because))
        return told

    def _ends(self, each: Happened) -> tuple[str, str]:
        """Return from whom to whom an entry is drawn."""
        agent = each.agent or each.by
        match each.part:
            case "ask":
                return agent, CONSOLE
            case "issue" | "refuse":
                return CONSOLE, agent
            case "change" if each.by not in ("system", each.agent) and ENDED in each.data:
                return CONSOLE, agent
        return (CONSOLE, CONSOLE) if each.by in ("system", "unknown") else (each.by, CONSOLE)

    def _reached(self, each: Happened) -> tuple[str, ...]:
        """Return the agents whose tokens a change ended, as far as this story knows these tokens."""
        jtis = each.data.get(ENDED)
        held = [self._issued.get(str(jti)) for jti in (jtis if isinstance(jtis, list) else [])]
        return tuple(dict.fromkeys(token.agent for token in held if token and token.agent))

    def _authority(self, jti: str | None, each: Happened) -> Authority:
        issued = self._issued.get(jti or "") or each
        policies = issued.data.get("policies") or issued.data.get("determined_by") or ()
        version = issued.data.get("policy_version")
        return Authority(
            token=jti,
            request=issued.request or each.request,
            grants=tuple(self._grants.get(jti or "", ())) or tuple(filter(None, [each.text("grant")])),
            policies=tuple(map(str, policies)) if isinstance(policies, list) else (),
            policy_version=version if isinstance(version, int) else None,
        )

    def _gaps_of_issue(self, each: Happened) -> tuple[str, ...]:
        if each.part != "issue" or not each.jti or not self._is_whole or each.jti in self._used:
            return ()
        if (each.agent, each.resource) in self._done:
            return ()  # who reported did not say with which token
        expires = each.data.get("expires_at")
        is_over = not isinstance(expires, int) or expires <= self._now.timestamp()
        return (NEVER_USED,) if is_over else (NOT_USED_YET,)

    def _gaps_of_call(self, call: Call) -> tuple[str, ...]:
        found: list[str] = []
        is_ours = not call.target.startswith(("model:", "tool:")) and "://" in call.target
        if is_ours and self._is_whole and not self._is_authorized(call):
            found.append(UNAUTHORIZED)
        if call.result and not call.call:
            is_span = call.result.data.get("report") is None  # a span of OpenTelemetry tells both in one
            found += [] if is_span else [RESULT_ALONE]
        if is_ours and call.witnesses == {AGENT_SAYS} and call.target in self._resources_that_report | self._asked():
            found.append(AGENT_ALONE)
        if AGENT_SAYS not in call.witnesses and call.agent in self._agents_that_report:
            found.append(RESOURCE_ALONE)
        hashes = {each.text("details_hash") for each in call.entries if each.text("details_hash")}
        if len(hashes) > 1:
            found.append(DIFFERENT)
        if any(each.data.get("is_trace_odd") is True for each in call.entries):
            found.append(ODD_TRACE)
        return tuple(found)

    def _is_authorized(self, call: Call) -> bool:
        if WE_SAW in call.witnesses or call.outcome == "refused":
            return True
        return call.jti in self._issued or (call.agent, call.target) in self._places

    def _asked(self) -> set[str]:
        return {str(resource) for _, resource in self._places if resource}


def _parties(steps: Collection[Step]) -> tuple[str, ...]:
    """Return who appears, in the order in which they enter; people first, then the console, as the eye expects."""
    seen = dict.fromkeys(party for step in steps for party in (step.source, step.target, *step.reaches))
    people = [party for party in seen if "://" not in party and ":" not in party and party != CONSOLE]
    rest = [party for party in seen if party not in people and party != CONSOLE]
    return (*people, *([CONSOLE] if CONSOLE in seen else []), *rest)


__all__ = [
    "AGENT_ALONE", "AGENT_SAYS", "Authority", "DIFFERENT", "GAPS", "NEVER_USED", "NOT_USED_YET", "ODD_TRACE",
    "RESOURCE_ALONE", "RESOURCE_SAYS", "RESULT_ALONE", "Step", "Story", "UNAUTHORIZED", "WE_SAW", "tell",
]  # fmt: skip
