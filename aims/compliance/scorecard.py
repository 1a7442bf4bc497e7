"""The AIMS scorecard: each agent, layer by layer, from identifier to compliance; each gap with what mends it.

The agent page shows the same facts (``Facts``), so that there is one truth. Spec: draft-ietf-wimse-aims §5 to §13.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote

from django.db.models import Count, Max
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from aims.authentication.client import PRIVATE_KEY_JWT
from aims.authorization.models import PUBLIC, Application
from aims.authorization.queries import live_grants
from aims.compliance.asked import Asked
from aims.compliance.evidence import State, rank, worst
from aims.credentials import queries as keys
from aims.credentials.models import KeySource, RegisteredKey
from aims.identifier.models import Agent, AgentState
from aims.policy.queries import active_version
from audit import read
from audit.read import Tally

KEY_OLD_AFTER = timedelta(days=90)
QUIET_AFTER = timedelta(days=30)
AGENTS_MAX = 500  # of one scorecard
OWN_KEYS = frozenset({PRIVATE_KEY_JWT, "self_signed_tls_client_auth"})
TOKENS = frozenset(
    {"authorization.token.issued", "authorization.token.exchanged", "authorization.transaction_token.issued"}
)
REPORTS = frozenset({"observability.event.reported", "authorization.token.used"})


class Layer(StrEnum):
    """The layers of the stack, bottom to top; the last two stand beside all of them."""

    IDENTIFIER = "identifier"
    CREDENTIALS = "credentials"
    POSTURE = "posture"
    PROVISIONING = "provisioning"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    OBSERVABILITY = "observability"
    POLICY = "policy"
    COMPLIANCE = "compliance"


TITLES: dict[Layer, Promise] = {
    Layer.IDENTIFIER: gettext_lazy("Identifier"),
    Layer.CREDENTIALS: gettext_lazy("Credentials"),
    Layer.POSTURE: gettext_lazy("Attestation"),
    Layer.PROVISIONING: gettext_lazy("Provisioning"),
    Layer.AUTHENTICATION: gettext_lazy("Authentication"),
    Layer.AUTHORIZATION: gettext_lazy("Authorization"),
    Layer.OBSERVABILITY: gettext_lazy("Observability"),
    Layer.POLICY: gettext_lazy("Policy"),
    Layer.COMPLIANCE: gettext_lazy("Compliance"),
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one agent, from the registry and from the log of the period. grants: how many are in force."""

    method: str
    has_keys: bool
    can_prove: bool
    newest_key_at: datetime | None
    publishes: bool
    grants: int
    tokens: int
    newest_token_at: datetime | None
    entries: int
    reports: int
    policy: int | None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one layer of one agent stands. why: in words. href and action: the one link that shows or mends it."""

    layer: Layer
    state: State
    why: str
    href: str = ""
    action: str = ""

    @property
    def title(self) -> str:
        """What the layer is called."""
        return str(TITLES[self.layer])


@dataclass(frozen=True, kw_only=True)
class Card:
    """One agent's scorecard. standings: a standing a layer, bottom to top."""

    agent: Agent
    facts: Facts
    standings: tuple[Standing, ...]

    @property
    def state(self) -> State:
        """The worst state of all layers."""
        return worst(standing.state for standing in self.standings)

    @property
    def weight(self) -> tuple[int, ...]:
        """What cards are sorted by, the worst first: its worst state, then how many layers have it, and so on."""
        states = [rank(standing.state) for standing in self.standings]
        return tuple(-states.count(rank(state)) for state in sorted(State, key=rank, reverse=True))

    def of(self, layer: Layer) -> Standing:
        """Return the standing of one layer."""
        return next(standing for standing in self.standings if standing.layer == layer)


def scorecard(agents: Sequence[Agent], asked: Asked) -> list[Card]:
    """Return the cards of some agents, in their order; a fixed number of questions, however many there are."""
    facts = facts_of(agents, asked)
    return [
        Card(agent=agent, facts=facts[agent.pk], standings=_standings(agent, facts[agent.pk], asked))
        for agent in agents
    ]


def fleet(asked: Asked) -> list[Card]:
    """Return the cards of all agents within the scope that have not ended, the worst first; at most AGENTS_MAX."""
    agents = list(asked.agents.select_related("owner", "trust_domain").order_by("name", "pk")[:AGENTS_MAX])
    return sorted(scorecard(agents, asked), key=lambda card: (card.weight, card.agent.name))


def facts_of(agents: Sequence[Agent], asked: Asked) -> dict[int, Facts]:
    """Return what is known of agents, by primary key."""
    refs = [agent.ref for agent in agents]
    registered = {
        row["holder_ref"]: row["newest"]
        for row in RegisteredKey.objects.filter(holder_ref__in=refs, ended_at=None)
        .values("holder_ref")
        .annotate(newest=Max("registered_at"))
    }
    sources = {row.holder_ref: row for row in KeySource.objects.filter(holder_ref__in=refs)}
    methods = dict(Application.objects.filter(agent__in=agents).values_list("agent_id", "token_endpoint_auth_method"))
    grants = dict(
        live_grants(now=asked.now).filter(agent__in=agents).order_by().values_list("agent").annotate(n=Count("pk"))
    )
    tallied = _by_agent([agent.identifier for agent in agents], asked)
    policy = active_version()
    found = {}
    for agent in agents:
        method = methods.get(agent.pk, PRIVATE_KEY_JWT)
        source = sources.get(agent.ref)
        has_keys = agent.ref in registered or source is not None
        tallies = tallied.get(agent.identifier, [])
        tokens = [tally for tally in tallies if tally.type in TOKENS]
        found[agent.pk] = Facts(
            method=method,
            has_keys=has_keys,
            can_prove=can_prove(agent, method, has_keys),
            newest_key_at=registered.get(agent.ref),
            publishes=source is not None,
            grants=grants.get(agent.pk, 0),
            tokens=sum(tally.count for tally in tokens),
            newest_token_at=max((tally.newest_at for tally in tokens), default=None),
            entries=sum(tally.count for tally in tallies),
            reports=sum(tally.count for tally in tallies if tally.type in REPORTS),
            policy=policy.number if policy else None,
        )
    return found


def can_prove(agent: Agent, method: str, has_keys: bool) -> bool:
    """Return whether there is what its method needs: a key of its own, or keys of its domain for what it shows."""
    if method in OWN_KEYS:
        return has_keys
    bundle = keys.bundle_of(agent.trust_domain.name) if agent.trust_domain_id else None
    if method == PUBLIC or bundle is None:
        return method == PUBLIC
    if method == "spiffe_jwt":
        return bool(bundle.jwt_keys)
    return bool(bundle.wit_keys if method.startswith("wimse_") else bundle.authorities)


def _by_agent(identifiers: Collection[str], asked: Asked) -> dict[str, list[Tally]]:
    found: dict[str, list[Tally]] = {}
    period = asked.period
    for tally in read.tallies_of(identifiers, period.since_at, period.until_at, scope=asked.scope):
        found.setdefault(tally.agent, []).append(tally)
    return found


def _standings(agent: Agent, facts: Facts, asked: Asked) -> tuple[Standing, ...]:
    below = (
        _identifier(agent),
        _credentials(agent, facts),
        _posture(agent),
        _provisioning(agent, facts, asked.now),
        _authentication(agent, facts, asked.now),
        _authorization(agent, facts, asked.now),
        _observability(agent, facts),
        _policy(facts),
    )
    return (*below, _compliance(agent, below))


def _identifier(agent: Agent) -> Standing:
    if agent.state == AgentState.SUSPENDED:
        why = _("suspended: it can't act, and its identifier stays its own")
        return _page(agent, Layer.IDENTIFIER, State.STALE, why, _("See why"))
    why = _("one identifier, never used before and never again")
    return _page(agent, Layer.IDENTIFIER, State.GOOD, why, _("See the agent"))


def _credentials(agent: Agent, facts: Facts) -> Standing:
    if facts.method == PUBLIC:
        why = _("a public client: it has no key, so anybody who knows its name can be it")
        return _page(agent, Layer.CREDENTIALS, State.STALE, why, _("See the agent"))
    if facts.can_prove:
        why = _("key-bound, no static secret")
        return _page(agent, Layer.CREDENTIALS, State.GOOD, why, _("See the agent"))
    if facts.method in OWN_KEYS:
        href = f"{reverse('agent-edit', args=[agent.ref])}#keys"
        return _standing(Layer.CREDENTIALS, State.GAP, _("no key is registered"), href, _("Register a key"))
    href = reverse("trust-domain", args=[agent.trust_domain.name])
    why = _("its trust domain's bundle has no key that vouches for it")
    return _standing(Layer.CREDENTIALS, State.GAP, why, href, _("Give the bundle"))


def _posture(agent: Agent) -> Standing:
    why = _("nothing has assessed it: this console takes no evidence about workloads, and its entries say unknown")
    return _page(agent, Layer.POSTURE, State.UNKNOWN, why, _("See the agent"))


def _provisioning(agent: Agent, facts: Facts, now: datetime) -> Standing:
    if facts.method not in OWN_KEYS or facts.publishes:
        why = _("published by itself or issued by its trust domain, so it rotates without us")
        state = State.GOOD if facts.can_prove else State.UNKNOWN
        return _page(agent, Layer.PROVISIONING, state, why, _("See the agent"))
    if facts.newest_key_at is None:
        return _page(agent, Layer.PROVISIONING, State.UNKNOWN, _("nothing was provisioned yet"), _("See the agent"))
    days = (now - facts.newest_key_at).days
    age = ngettext("newest key registered %(n)s day ago", "newest key registered %(n)s days ago", days) % {"n": days}
    if now - facts.newest_key_at <= KEY_OLD_AFTER:
        return _page(agent, Layer.PROVISIONING, State.GOOD, age, _("See the agent"))
    href = f"{reverse('agent-edit', args=[agent.ref])}#keys"
    return _standing(Layer.PROVISIONING, State.STALE, age, href, _("Rotate it"))


def _authentication(agent: Agent, facts: Facts, now: datetime) -> Standing:
    if not facts.can_prove:
        why = _("it can't prove who it is, so it gets no token")
        return _page(agent, Layer.AUTHENTICATION, State.GAP, why, _("See the agent"))
    if facts.newest_token_at is None:
        why = _("it could prove who it is, and got no token in this period")
        return _page(agent, Layer.AUTHENTICATION, State.UNKNOWN, why, _("See the agent"))
    count = ngettext("proved who it is for %(n)s token", "proved who it is for %(n)s tokens", facts.tokens)
    state = State.GOOD if now - facts.newest_token_at <= QUIET_AFTER else State.STALE
    return _log(agent, Layer.AUTHENTICATION, state, count % {"n": facts.tokens}, "authorization.token.*")


def _authorization(agent: Agent, facts: Facts, now: datetime) -> Standing:
    href, see = f"{reverse('grants')}?agent={agent.ref}", _("See the grants")
    if not facts.grants:
        return _standing(Layer.AUTHORIZATION, State.UNKNOWN, _("nothing granted, so it may do nothing"), href, see)
    held = ngettext("%(n)s grant in force", "%(n)s grants in force", facts.grants) % {"n": facts.grants}
    if not facts.tokens:
        why = _("%(held)s, and no token in this period: take back what it does not use") % {"held": held}
        return _standing(Layer.AUTHORIZATION, State.STALE, why, href, see)
    return _standing(Layer.AUTHORIZATION, State.GOOD, _("%(held)s, each with an end") % {"held": held}, href, see)


def _observability(agent: Agent, facts: Facts) -> Standing:
    if not facts.entries:
        return _log(agent, Layer.OBSERVABILITY, State.UNKNOWN, _("no entry in this period"))
    count = ngettext("%(n)s entry in this period", "%(n)s entries in this period", facts.entries)
    said = count % {"n": facts.entries}
    if facts.tokens and not facts.reports:
        why = _("%(said)s, but no resource server reported what was done with its tokens") % {"said": said}
        return _log(agent, Layer.OBSERVABILITY, State.STALE, why)
    return _log(agent, Layer.OBSERVABILITY, State.GOOD, said)


def _policy(facts: Facts) -> Standing:
    href, see = reverse("policies"), _("See the policy")
    if facts.policy is None:
        return _standing(Layer.POLICY, State.GAP, _("no policy is in force, so everything is denied"), href, see)
    why = _("version %(n)s decides each request") % {"n": facts.policy}
    return _standing(Layer.POLICY, State.GOOD, why, href, see)


def _compliance(agent: Agent, below: Sequence[Standing]) -> Standing:
    if not agent.owner.is_active:
        href = reverse("agent-owner", args=[agent.ref])
        why = _("who answers for it is deactivated: nobody does")
        return _standing(Layer.COMPLIANCE, State.GAP, why, href, _("Give it an owner"))
    gaps = sum(standing.state == State.GAP for standing in below)
    if gaps:
        why = ngettext("%(n)s layer below has a gap", "%(n)s layers below have a gap", gaps) % {"n": gaps}
        return _page(agent, Layer.COMPLIANCE, State.GAP, why, _("See the agent"))
    soft = sum(standing.state == State.STALE for standing in below)
    if soft:
        why = ngettext("%(n)s layer below needs a look", "%(n)s layers below need a look", soft) % {"n": soft}
        return _page(agent, Layer.COMPLIANCE, State.STALE, why, _("See the agent"))
    why = _("no gap was found in what could be measured; %(owner)s answers for it") % {"owner": agent.owner.name}
    return _page(agent, Layer.COMPLIANCE, State.GOOD, why, _("See the agent"))


def _standing(layer: Layer, state: State, why: str, href: str, action: str) -> Standing:
    return Standing(layer=layer, state=state, why=why, href=href, action=action)


def _page(agent: Agent, layer: Layer, state: State, why: str, action: str) -> Standing:
    return _standing(layer, state, why, reverse("agent", args=[agent.ref]), action)


def _log(agent: Agent, layer: Layer, state: State, why: str, type: str = "") -> Standing:
    href = f"/audit/?agent={quote(agent.identifier)}" + (f"&type={quote(type)}" if type else "")
    return _standing(layer, state, why, href, _("See the log"))
