"""Rules about who says nothing any more, and who still acts after the end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aims.observability.rules.seen import Hit, Rule, Seen, State, Zone, is_new_tick, kept
from aims.observability.rules.seen import gettext_noop as _

_REGISTERED, _SUSPENDED = "identifier.agent.registered", "identifier.agent.suspended"
_RESUMED, _RETIRED = "identifier.agent.resumed", "identifier.agent.retired"
_USED, _REPORTED = "authorization.token.used", "observability.event.reported"
_DEEDS = frozenset({"action.executed", "tool.call", "llm.call", "a2a.call", "task.started"})
_TOKENS_MAX = 500  # that a resource reported, the newest
_DAY_S = 86_400


def _after_the_end(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    if entry.agent is None:
        return
    stopped = kept(state, "stopped")
    if entry.type in (_SUSPENDED, _RETIRED):
        stopped[entry.agent] = [entry.at_s, entry.index]
    elif entry.type == _RESUMED:
        stopped.pop(entry.agent, None)
    elif (end := stopped.get(entry.agent)) and (entry.type == _USED or entry.text("kind") in _DEEDS):
        at_ms = entry.data.get("at_ms")
        happened_s = at_ms / 1000 if isinstance(at_ms, int) else entry.happened_s
        if happened_s > end[0] + limits["grace_s"]:
            found = (end[1], entry.index)
            yield Hit(key=entry.agent, indexes=found, agent=entry.agent, resource=entry.resource, txn=entry.txn)


def _dead(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    last = kept(state, "last")
    if entry.agent is not None and entry.type == _RETIRED:
        last.pop(entry.agent, None)
    elif entry.agent is not None and (entry.by == entry.agent or entry.type in (_REGISTERED, _RESUMED)):
        last[entry.agent] = [entry.at_s, entry.index, False]
    if is_new_tick(entry, state):
        for agent, mark in sorted(last.items()):
            if not mark[2] and entry.at_s - mark[0] >= limits["idle_days"] * _DAY_S:
                mark[2] = True
                yield Hit(key=agent, indexes=(mark[1],), agent=agent)


def _silent(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    sources = kept(state, "sources")
    if entry.type == _REPORTED:
        _, _, first_s, count = sources.get(entry.by, [0, 0, entry.at_s, 0])
        sources[entry.by] = [entry.at_s, entry.index, first_s, count + 1]
    if is_new_tick(entry, state):
        for source, (last_s, index, first_s, count) in sorted(sources.items()):
            if count < limits["reports"]:
                continue
            mean_s = (last_s - first_s) / count
            if entry.at_s - last_s > max(limits["silent_s"], limits["times_the_usual"] * mean_s):
                sources[source] = [last_s, index, last_s, 0]  # it begins anew when it speaks again
                is_agent = source.startswith(("spiffe://", "wimse://"))
                about = {"agent": source} if is_agent else {"resource": source}
                yield Hit(key=source, indexes=(index,), **about)


def _unreported(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    known = kept(state, "resources")
    resource = entry.resource
    if resource is None:
        return
    if entry.type == _REPORTED and entry.text("side") == "resource":
        _, told, _ = known.get(resource, [0, [], []])
        token = entry.text("token")
        known[resource] = [entry.at_s, [*told, token][-_TOKENS_MAX:] if token else told, []]
        return
    held = known.get(resource)
    if entry.type != _USED or held is None or entry.text("jti") in held[1]:
        return
    held[2] = [*held[2], entry.index]
    if len(held[2]) >= limits["uses"]:
        found, held[2] = tuple(held[2]), []
        yield Hit(key=resource, indexes=found, resource=resource)


RULES = (
    Rule(
        id="after-the-end",
        version=1,
        title=_("Acted after it was stopped"),
        says=_("An agent that was suspended or retired did something later, as we saw or a resource reports."),
        severity="high",
        limits={"grace_s": 5},
        types=frozenset({_SUSPENDED, _RESUMED, _RETIRED, _USED, _REPORTED}),
        watch=_after_the_end,
    ),
    Rule(
        id="dead-agent",
        version=1,
        title=_("An agent that does nothing"),
        says=_("A registered agent has done nothing for a long time. What nobody uses, nobody watches."),
        severity="low",
        limits={"idle_days": 30},
        types=frozenset(),
        watch=_dead,
    ),
    Rule(
        id="silent-source",
        version=1,
        title=_("A source fell silent"),
        says=_("An agent or a resource that used to report what it does has stopped."),
        severity="medium",
        limits={"reports": 20, "silent_s": 86_400, "times_the_usual": 5},
        types=frozenset(),
        watch=_silent,
    ),
    Rule(
        id="unreported-uses",
        version=1,
        title=_("Used, but not reported"),
        says=_(
            "A resource that reports what it does asked us about many tokens, and said nothing of what came of them."
        ),
        severity="low",
        limits={"uses": 10},
        types=frozenset({_USED, _REPORTED}),
        watch=_unreported,
    ),
)
