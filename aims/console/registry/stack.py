"""The identity stack of one agent, as far as there is real data: one row a layer, identifier at the bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from aims.authentication.client import PRIVATE_KEY_JWT
from aims.authorization.models import PUBLIC, AccessToken, ApprovalRequest, DelegationGrant
from aims.authorization.queries import live_grants
from aims.authorization.services.clients import ClientSettings, settings_of
from aims.authorization.standing import Gauge, gauges_of
from aims.compliance.asked import PERIOD_DEFAULT, Asked, Period
from aims.compliance.evidence import State
from aims.compliance.scorecard import Layer as Rung
from aims.compliance.scorecard import Standing, scorecard
from aims.compliance.words import WORDS
from aims.console.registry.grant_words import Meter, meter
from aims.console.registry.rights import may_end
from aims.console.templatetags import words
from aims.credentials import queries as keys
from aims.identifier.models import Agent
from aims.people.models import User
from audit.read import EVERYTHING, scope_of

GRANTS_MAX = 200  # of one agent, added up on its page


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row. tone: yes, no, waiting, info or plain. is_dimmed: a lower row is broken. meter: how much is used, if it is."""

    name: str
    text: str
    tag: str
    tone: str
    sub: str = ""
    kind: str = ""
    href: str = ""
    action: str = ""
    is_dimmed: bool = False
    meter: Meter | None = None


def stack_of(agent: Agent, *, reader: User, now: datetime, may_mend: bool) -> list[Layer]:
    """Return the layers, top to bottom. may_mend: whether the reader may change the agent."""
    scope = EVERYTHING if agent.owner_id == reader.pk else scope_of(reader)
    asked = Asked(period=Period.last(PERIOD_DEFAULT, now=now), scope=scope, now=now)
    card = scorecard([agent], asked)[0]
    client, has_keys, can_prove = settings_of(agent), card.facts.has_keys, card.facts.can_prove
    is_sound = agent.state == "active" and can_prove
    return [
        _measured(card.of(Rung.COMPLIANCE), may_mend=may_mend),
        _measured(card.of(Rung.POLICY), may_mend=may_mend),
        _observability(agent, is_dimmed=not is_sound),
        _authorization(agent, reader=reader, now=now, may_mend=may_mend, is_dimmed=not is_sound),
        _authentication(client, can_prove=can_prove, is_dimmed=not is_sound),
        _measured(card.of(Rung.PROVISIONING), may_mend=may_mend, is_dimmed=not is_sound),
        _measured(card.of(Rung.POSTURE), may_mend=may_mend, is_dimmed=not is_sound),
        _credentials(agent, client.auth_method, has_keys, can_prove=can_prove, may_mend=may_mend),
        _identifier(agent),
    ]


def _measured(standing: Standing, *, may_mend: bool, is_dimmed: bool = False) -> Layer:
    """Return a row as the scorecard has it; its link only where it mends something."""
    tag, tone = WORDS[standing.state]
    is_broken = standing.state in (State.GAP, State.STALE)
    return Layer(
        name=standing.title,
        text=standing.why[:1].upper() + standing.why[1:],
        tag=_(tag),
        tone=tone,
        href=standing.href if is_broken and may_mend else "",
        action=standing.action,
        is_dimmed=is_dimmed,
    )


def _observability(agent: Agent, *, is_dimmed: bool) -> Layer:
    token = AccessToken.objects.filter(agent=agent).order_by("-issued_at").first()
    asked = ApprovalRequest.objects.filter(agent=agent).count()
    seen = token.issued_at if token is not None else None
    return Layer(
        name=_("Observability"),
        text=_("last token %(at)s") % {"at": words.stamp(seen)} if seen else _("no token issued yet"),
        sub=_times(asked),
        tag=_("Recorded"),
        tone="plain",
        href=f"/audit/?agent={quote(agent.identifier)}",
        action=_("See the log"),
        is_dimmed=is_dimmed,
    )


def _times(asked: int) -> str:
    if not asked:
        return _("never asked a person")
    return ngettext("asked a person once", "asked a person %(n)s times", asked) % {"n": asked}


def _authorization(agent: Agent, *, reader: User, now: datetime, may_mend: bool, is_dimmed: bool) -> Layer:
    grants = list(live_grants(now=now).filter(agent=agent).select_related("parent")[:GRANTS_MAX])
    count, tightest = len(grants), _tightest(grants, now=now)
    may_give = may_mend and not count
    words_of = ngettext("%(n)s grant in force", "%(n)s grants in force", count) % {"n": count}
    revocable = sum(may_end(reader, grant) for grant in grants)
    mine = ngettext("%(n)s revocable by you", "%(n)s revocable by you", revocable) % {"n": revocable}
    return Layer(
        name=_("Authorization"),
        text=f"{words_of} · {tightest.text}" if tightest else words_of,
        tag=mine if revocable else _("Bounded") if count else _("Nothing granted"),
        tone="plain" if revocable or not count else "yes",
        href=f"{reverse('grant-new')}?agent={agent.ref}" if may_give else f"{reverse('grants')}?agent={agent.ref}",
        action=_("Give it one") if may_give else _("See the grants"),
        is_dimmed=is_dimmed,
        meter=tightest,
    )


def _tightest(grants: Sequence[DelegationGrant], *, now: datetime) -> Meter | None:
    """Return the budget, added up over the grants, of which most is used; None without any."""
    added: dict[str, Gauge] = {}
    for gauge in (each for gauges in gauges_of(grants, now=now).values() for each in gauges):
        held = added.get(gauge.unit, Gauge(unit=gauge.unit, used=0, most=0))
        added[gauge.unit] = Gauge(unit=gauge.unit, used=held.used + gauge.used, most=held.most + gauge.most)
    fullest = max(added.values(), key=lambda gauge: gauge.used / gauge.most, default=None)
    return meter(fullest) if fullest else None


def _proved_by(method: str) -> str:
    words = {
        "private_key_jwt": _("private_key_jwt, each assertion once"),
        "spiffe_jwt": _("JWT-SVID of its trust domain, each once"),
        "spiffe_x509": _("X.509-SVID of its trust domain"),
        "tls_client_auth": _("certificate with a registered name"),
        "self_signed_tls_client_auth": _("certificate with a registered key"),
        "wimse_wit_wpt": _("workload token, each proof once"),
        "wimse_http_signature": _("workload token, each signed request once"),
    }
    return words.get(method, _("a public client: it has no key"))


def _authentication(client: ClientSettings, *, can_prove: bool, is_dimmed: bool) -> Layer:
    pinged = _("is pinged at %(uri)s") % {"uri": client.notification_endpoint}
    return Layer(
        name=_("Authentication"),
        text=_proved_by(client.auth_method),
        sub=pinged if client.delivery_mode == "ping" else _("asks for decisions itself (poll)"),
        tag=_("Key-bound") if can_prove else _("Can't sign in"),
        tone="yes" if can_prove else "waiting",
        is_dimmed=is_dimmed,
    )


def _credentials(agent: Agent, method: str, has_keys: bool, *, can_prove: bool, may_mend: bool) -> Layer:
    if method not in (PRIVATE_KEY_JWT, "self_signed_tls_client_auth", PUBLIC):
        return _issued(agent, can_prove=can_prove, may_mend=may_mend)
    held, uri = keys.keys_of(agent.ref), keys.jwks_uri_of(agent.ref)
    algorithms = ", ".join(sorted({key.algorithm for key in held}))
    text = ngettext("%(n)s public key", "%(n)s public keys", len(held)) % {"n": len(held)}
    return Layer(
        name=_("Credentials"),
        text=f"{text} · {algorithms}" if algorithms else text,
        sub=_("published at %(uri)s") % {"uri": uri} if uri else "",
        tag=_("No static secret") if has_keys else _("No key registered"),
        tone="yes" if has_keys else "no",
        href="" if has_keys or not may_mend else f"{reverse('agent-edit', args=[agent.ref])}#keys",
        action=_("Register a key"),
    )


def _issued(agent: Agent, *, can_prove: bool, may_mend: bool) -> Layer:
    """What the trust domain issues: we hold no key of the agent, but those that vouch for it."""
    name = agent.trust_domain.name
    return Layer(
        name=_("Credentials"),
        text=_("issued by %(domain)s") % {"domain": name},
        sub=_("its trust bundle vouches for it") if can_prove else _("its trust bundle has no key for that"),
        tag=_("No static secret") if can_prove else _("Nobody vouches"),
        tone="yes" if can_prove else "no",
        href="" if can_prove or not may_mend else reverse("trust-domain", args=[name]),
        action=_("Give the bundle"),
    )


def _identifier(agent: Agent) -> Layer:
    since = words.stamp(agent.registered_at)
    return Layer(
        name=_("Identifier"),
        text=agent.identifier,
        kind="mono",
        sub=_("since %(date)s, never reused") % {"date": since},
        tag=_("Unique") if agent.state == "active" else words.state_word(agent.state),
        tone=words.state_tone(agent.state),
    )
