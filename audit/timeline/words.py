"""The words of a story: what a step is called, what is missing, who says so."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from audit.timeline import story as telling
from audit.timeline.happened import CONSOLE
from audit.timeline.story import Step

KINDS = {
    "tool": gettext_noop("Called a tool"),
    "llm": gettext_noop("Asked a model"),
    "a2a": gettext_noop("Called an agent"),
    "action": gettext_noop("Acted"),
    "task": gettext_noop("Worked on a task"),
}
OUTCOMES = {
    "success": gettext_noop("done"),
    "failure": gettext_noop("failed"),
    "refused": gettext_noop("refused"),
    "timeout": gettext_noop("no answer in time"),
}
WITNESSES = {
    telling.WE_SAW: gettext_noop("checked with us"),
    telling.AGENT_SAYS: gettext_noop("the agent says so"),
    telling.RESOURCE_SAYS: gettext_noop("the resource says so"),
}
REASONS = {
    "agent_suspended": gettext_noop("the agent was suspended"),
    "agent_retired": gettext_noop("the agent was retired"),
    "stopped": gettext_noop("the agent was stopped"),
    "grant_revoked": gettext_noop("the permission was taken back"),
    "grant_narrowed": gettext_noop("the permission was narrowed"),
    "grant_expired": gettext_noop("the permission ran out"),
    "code_reused": gettext_noop("its code was used again"),
    "refresh_token_reused": gettext_noop("its refresh token was used again"),
    "revoked_by_client": gettext_noop("the agent gave it back"),
    "person_deactivated": gettext_noop("the person was deactivated"),
}
# gap -> what it is called, what it means
GAPS = {
    telling.UNAUTHORIZED: (
        gettext_noop("Used, never authorized"),
        gettext_noop("Somebody reports a call for which no token was issued in this story."),
    ),
    telling.DIFFERENT: (
        gettext_noop("The two sides differ"),
        gettext_noop("The agent and the resource report different details of the same call."),
    ),
    telling.RESULT_ALONE: (
        gettext_noop("A result without a call"),
        gettext_noop("The agent reports what came back, but not that it called."),
    ),
    telling.AGENT_ALONE: (
        gettext_noop("Only the agent says so"),
        gettext_noop("The resource neither reported this call nor asked us about its token."),
    ),
    telling.RESOURCE_ALONE: (
        gettext_noop("The agent is silent"),
        gettext_noop("The agent reports other calls, but not this one."),
    ),
    telling.NEVER_USED: (
        gettext_noop("Authorized, never used"),
        gettext_noop("The token ran out, and nobody used it or exchanged it."),
    ),
    telling.NOT_USED_YET: (
        gettext_noop("Not used yet"),
        gettext_noop("The token still counts; nobody has used it so far."),
    ),
    telling.ODD_TRACE: (
        gettext_noop("Another trace"),
        gettext_noop(
            "Its trace id belongs to another transaction, or this transaction has two. Callers choose trace ids."
        ),
    ),
}
TITLES = {
    "txn": gettext_noop("One transaction"),
    "approval": gettext_noop("One approval"),
    "trace": gettext_noop("One task"),
    "grant": gettext_noop("One permission"),
    "agent": gettext_noop("One agent"),
    "person": gettext_noop("One person"),
}


def title_of(step: Step) -> str:
    """Return what a step is called in the list."""
    if step.part == "call":
        kinds = [each.kind.partition(".")[0] for each in step.entries if each.kind]
        kind = next((kind for kind in kinds if kind != "action"), kinds[0] if kinds else "")
        return _(KINDS[kind]) if kind in KINDS else _("Used a token")
    reason = step.first.text("reason")
    if step.part == "change" and reason in REASONS:
        return f"{step.title}: {_(REASONS[reason])}"
    return step.title


def short_of(step: Step) -> str:
    """Return what a step is called on its arrow."""
    if step.part != "call":
        return step.title
    words = step.action or title_of(step)
    if step.outcome in ("refused", "failure", "timeout"):
        return f"{_(OUTCOMES[step.outcome])}: {words}"
    return f"{words} ×{step.uses}" if step.uses > 1 else words


def name_of(party: str, names: Mapping[str, str]) -> str:
    """Return the name of a party; what has none is called by the end of its identifier."""
    if party == CONSOLE:
        return _("Console")
    if party in names:
        return names[party]
    if party.startswith(("model:", "tool:")):
        return party.partition(":")[2]
    return party.rstrip("/").rsplit("/", 1)[-1] if "://" in party else party


def summary(story: telling.Story) -> str:
    """Return in one sentence what a story holds."""
    steps, agents = len(story.steps), len(story.agents)
    told = ngettext("%(n)s step", "%(n)s steps", steps) % {"n": steps}
    by = ngettext("%(n)s agent", "%(n)s agents", agents) % {"n": agents}
    count = sum(story.gaps.values())
    if not count:
        return _("%(steps)s, %(agents)s.") % {"steps": told, "agents": by}
    missing = ngettext("%(n)s place where something is missing", "%(n)s places where something is missing", count)
    return _("%(steps)s, %(agents)s, %(gaps)s.") % {"steps": told, "agents": by, "gaps": missing % {"n": count}}


def title_for(kind: str, name: str) -> str:
    """Return the heading of a story's page."""
    return f"{_(TITLES[kind])}: {name}" if name else _(TITLES[kind])
