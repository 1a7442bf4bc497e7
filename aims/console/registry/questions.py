"""What is asked before an agent is stopped, let go on or ended, with what would happen, counted now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from aims.authorization.known_clients import awaits_admission
from aims.authorization.models import AccessToken, ApprovalRequest, DelegationGrant
from aims.authorization.states import OPEN
from aims.console.registry.asking import Question
from aims.identifier.models import Agent, AgentState


def of_agent(agent: Agent, *, may_retire: bool, now: datetime) -> dict[str, Question]:
    """Return what this agent's page may ask, by the name of the verb."""
    if agent.state == AgentState.RETIRED:
        return {}
    found = [suspend(agent, now=now)] if agent.state == AgentState.ACTIVE else []
    if agent.state == AgentState.SUSPENDED and not awaits_admission(agent):
        found.append(resume(agent))
    found.append(stop(agent, now=now))
    if may_retire:
        found.append(retire(agent, now=now))
    return {question.id: question for question in found}


def suspend(agent: Agent, *, now: datetime) -> Question:
    """Ask before an agent is suspended."""
    return Question(
        id="suspend",
        href=reverse("agent-suspend", args=[agent.ref]),
        back=reverse("agent", args=[agent.ref]),
        button=_("Suspend"),
        title=_("Suspend %(name)s?") % {"name": agent.name},
        text=_("It gets no more tokens until it is resumed. Its grants stay."),
        points=tuple(_ends(agent, now=now)),
        confirm=_("Suspend"),
        reason=_("Why?"),
    )


def resume(agent: Agent) -> Question:
    """Ask before an agent may act again."""
    return Question(
        id="resume",
        href=reverse("agent-resume", args=[agent.ref]),
        back=reverse("agent", args=[agent.ref]),
        button=_("Resume"),
        title=_("Let %(name)s act again?") % {"name": agent.name},
        text=_("What was withdrawn stays withdrawn, and grants that were taken back stay so."),
        confirm=_("Resume"),
        tone="ink",
    )


def stop(agent: Agent, *, now: datetime) -> Question:
    """Ask before the red button."""
    return Question(
        id="stop",
        href=reverse("agent-stop", args=[agent.ref]),
        back=reverse("agent", args=[agent.ref]),
        button=_("Stop everything…"),
        title=_("Stop everything that %(name)s does?") % {"name": agent.name},
        text=_("It is suspended, and all that it was given is taken back. To go on it needs new grants."),
        points=tuple(_ends(agent, now=now)) + tuple(_grants(agent, now=now)),
        confirm=_("Stop everything"),
        reason=_("Why?"),
    )


def retire(agent: Agent, *, now: datetime) -> Question:
    """Ask before an agent ends for ever."""
    return Question(
        id="retire",
        href=reverse("agent-retire", args=[agent.ref]),
        back=reverse("agent", args=[agent.ref]),
        button=_("Retire…"),
        title=_("Retire %(name)s for ever?") % {"name": agent.name},
        text=_("Nobody can take this back, and nobody can have its identifier again."),
        points=tuple(_ends(agent, now=now)) + tuple(_grants(agent, now=now)),
        confirm=_("Retire for ever"),
        reason=_("Why?"),
    )


def _ends(agent: Agent, *, now: datetime) -> Iterable[str]:
    tokens = AccessToken.of_every_kind.filter(agent=agent, revoked_at=None, expires__gt=now).count()
    waiting = ApprovalRequest.objects.filter(agent=agent, state__in=OPEN, expires_at__gt=now).count()
    if tokens:
        yield ngettext("%(n)s token ends now", "%(n)s tokens end now", tokens) % {"n": tokens}
    if waiting:
        words = ngettext("%(n)s waiting request is withdrawn", "%(n)s waiting requests are withdrawn", waiting)
        yield words % {"n": waiting}


def _grants(agent: Agent, *, now: datetime) -> Iterable[str]:
    count = DelegationGrant.objects.filter(agent=agent, revoked_at=None, until_at__gt=now).count()
    if count:
        yield ngettext("%(n)s grant is taken back", "%(n)s grants are taken back", count) % {"n": count}
