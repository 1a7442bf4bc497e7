"""Measures of the agents as they stand now, within the reader's scope."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from aims.authorization.models import Application
from aims.authorization.queries import live_grants
from aims.compliance.asked import Asked
from aims.compliance.evidence import State
from aims.compliance.measures.table import FLEET, Found, measure
from aims.compliance.scorecard import Card, Layer, fleet


def cards(asked: Asked) -> list[Card]:
    """Return the scorecard, made once for one measuring."""
    if "cards" not in asked.kept:
        asked.kept["cards"] = fleet(asked)
    found: list[Card] = asked.kept["cards"]
    return found


def _layer(name: str, title: str | Promise, layer: Layer) -> None:
    """Enter a measure that sums up one layer over all agents."""

    @measure(name, title, of=FLEET)
    def question(asked: Asked) -> Found:
        return _summed(asked, lambda card: card.of(layer).state)


def _summed(asked: Asked, state_of: Callable[[Card], State]) -> Found:
    shown, href = cards(asked), reverse("compliance-fleet")
    if not shown:
        return Found(count=0, state=State.UNKNOWN, why=_("There are no agents."), href=reverse("agents"))
    states = [state_of(card) for card in shown]
    good = states.count(State.GOOD)
    words = ngettext("%(good)s of %(n)s agent.", "%(good)s of %(n)s agents.", len(states)) % {
        "good": good,
        "n": len(states),
    }
    for state, said in (
        (State.GAP, _("%(words)s The others have a gap or need a look.")),
        (State.STALE, _("%(words)s The others need a look.")),
        (State.UNKNOWN, _("%(words)s The others could not be measured.")),
    ):
        if state in states:
            return Found(count=good, state=state, why=said % {"words": words}, href=href)
    return Found(count=good, state=State.GOOD, why=words, href=href)


_layer("agents_identified", gettext_lazy("Each agent has exactly one identifier and may act"), Layer.IDENTIFIER)
_layer("agents_key_bound", gettext_lazy("Each agent's credential binds a key to its identifier"), Layer.CREDENTIALS)
_layer(
    "keys_fresh",
    gettext_lazy("Each agent's keys were rotated within 90 days, or rotate by themselves"),
    Layer.PROVISIONING,
)
_layer("agents_authenticated", gettext_lazy("Each agent proves who it is before it gets a token"), Layer.AUTHENTICATION)
_layer("grants_used", gettext_lazy("Each agent's grants have an end and are used"), Layer.AUTHORIZATION)
_layer("agents_observed", gettext_lazy("What each agent does can be followed"), Layer.OBSERVABILITY)


@measure("agents_owned", gettext_lazy("Somebody active answers for each agent"), of=FLEET)
def agents_owned(asked: Asked) -> Found:
    """Return for how many agents somebody answers who is not deactivated."""
    orphans = asked.agents.filter(owner__is_active=False)
    count, lost = asked.agents.count(), orphans.count()
    if not count:
        return Found(count=0, state=State.UNKNOWN, why=_("There are no agents."), href=reverse("agents"))
    if lost:
        why = ngettext("Nobody answers for %(n)s agent.", "Nobody answers for %(n)s agents.", lost) % {"n": lost}
        return Found(count=count - lost, state=State.GAP, why=why, href=reverse("compliance-fleet"))
    words = ngettext("%(n)s agent, with an owner.", "%(n)s agents, each with an owner.", count) % {"n": count}
    return Found(count=count, state=State.GOOD, why=words, href=reverse("agents"))


@measure("no_static_secrets", gettext_lazy("No agent has a static secret"), of=FLEET)
def no_static_secrets(asked: Asked) -> Found:
    """Return how many agents prove themselves without a secret that could be copied."""
    rows = Application.objects.filter(agent__in=asked.agents)
    secret = rows.filter(Q(token_endpoint_auth_method__startswith="client_secret"))
    count, bad = rows.count(), secret.count()
    if bad:
        why = ngettext("%(n)s agent has one.", "%(n)s agents have one.", bad) % {"n": bad}
        return Found(count=count - bad, state=State.GAP, why=why, href=reverse("agents"))
    if not count:
        return Found(count=0, state=State.UNKNOWN, why=_("There are no clients."), href=reverse("agents"))
    words = ngettext("None of %(n)s client has one.", "None of %(n)s clients has one.", count) % {"n": count}
    return Found(count=count, state=State.GOOD, why=words, href=reverse("agents"))


@measure("grants_bounded", gettext_lazy("Each grant names actions, a resource and an end"), of=FLEET)
def grants_bounded(asked: Asked) -> Found:
    """Return how many grants are in force. One without an end can't be stored."""
    rows = live_grants(now=asked.now).filter(agent__in=asked.agents)
    count, href = rows.count(), reverse("grants")
    if not count:
        return Found(count=0, state=State.UNKNOWN, why=_("No grant is in force."), href=href)
    words = ngettext("%(n)s grant in force.", "%(n)s grants in force.", count) % {"n": count}
    newest = rows.order_by("-given_at").values_list("given_at", flat=True).first()
    return Found(count=count, state=State.GOOD, why=words, href=href, newest_at=newest)


@measure("stop_works", gettext_lazy("An agent can be stopped, and has been"), of=FLEET)
def stop_works(asked: Asked) -> Found:
    """Return how often an agent was suspended in the period. That it could be is shown only by doing it."""
    tallies = asked.of(("identifier.agent.suspended",))
    count = sum(tally.count for tally in tallies)
    if not count:
        why = _("Nobody stopped an agent in this period, so nothing shows that it works: hold a drill.")
        return Found(count=0, state=State.STALE, why=why, href=reverse("agents"))
    words = ngettext("Done %(n)s time in this period.", "Done %(n)s times in this period.", count) % {"n": count}
    return Found(count=count, state=State.GOOD, why=words, href=reverse("agents"))
