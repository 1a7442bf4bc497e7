"""The chain on one screen: who acts through whom, by what authority, and where it broke. And the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from aims.authorization import chains
from aims.authorization.chains import Hop, Path
from aims.authorization.models import AccessToken, ApprovalRequest, DelegationGrant, TokenKind
from aims.authorization.queries import request_for
from aims.authorization.services.metering import lineage_of
from aims.console import labels
from aims.console.registry.grant_words import Shown, giver, shown
from aims.console.registry.rights import hops_seen, may_end, paths_seen, scope_on, tokens_seen, visible_to
from aims.identifier.models import Resource
from aims.identifier.queries import agents_visible_to
from aims.kit import clock
from aims.people.access import person_of, requires_role, signed_in
from aims.people.models import User
from audit import read
from audit.read import scope_of

WHY = {
    chains.ABOVE: gettext_lazy("ended with the hop above"),
    chains.RAN_OUT: gettext_lazy("ran out, as every token does"),
    chains.BY_CLIENT: gettext_lazy("given back by its client"),
    chains.GRANT_REVOKED: gettext_lazy("its grant was taken back"),
    chains.GRANT_NARROWED: gettext_lazy("its grant was narrowed"),
    chains.GRANT_EXPIRED: gettext_lazy("its grant ran out"),
    chains.FAMILY_ENDED: gettext_lazy("its sign-in ended: a code or refresh token was given back, or used twice"),
    "agent_suspended": gettext_lazy("its agent is suspended"),
    "agent_retired": gettext_lazy("its agent is retired"),
}


@dataclass(frozen=True, kw_only=True)
class Link:
    """A hop as the page shows it. resource: a name where there is one. policy: the version that allowed it, None unknown.

    role: what its agent does here, in words. may_open: the reader may see its agent; grants: those that they may see too,
    each with whether. asked: the request that was said yes to, if the reader may see it. is_inside: it is a transaction token, for its trust domain. number: its place in the table. state: in_force, ended or revoked.
    """

    hop: Hop
    number: str
    resource: str
    role: str
    may_open: bool
    grants: list[tuple[DelegationGrant, bool]]
    asked: ApprovalRequest | None
    is_inside: bool
    state: str
    why: str
    policy: int | None
    below: list[Link] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A grant in the tree of what it was passed on as."""

    row: Shown
    below: list[Held] = field(default_factory=list)


@require_safe
@signed_in
def chain(request: HttpRequest, txn: str) -> HttpResponse:
    """Show who acted through whom in one transaction; who has no part in it can't tell it from one that is not there."""
    person, now = person_of(request), clock.now()
    tops = hops_seen(person, chains.tree_of(txn, now=now))
    if not tops:
        raise Http404
    links = _links(tops, policies=_policies(txn), seen=_seen_by(person, tops))
    flat = list(_flat(links))
    context = {
        "txn": txn,
        "subject": _subject(tops[0]),
        "links": links,
        "flat": flat,
        "live": sum(link.hop.is_live for link in flat),
        "broken": next((link for link in flat if link.hop.is_break), None),
        "endable": _endable(person, tops[0], now=now),
        "may_read_log": bool(tokens_seen(scope_of(person), [link.hop.token for link in flat])),
    }
    return render(request, "grants/chain.html", context)


@require_safe
@signed_in
def of_grant(request: HttpRequest, ref: str) -> HttpResponse:
    """Show the chain that a grant belongs to: from whom, passed on to whom, and the newest transactions under it."""
    person, now = person_of(request), clock.now()
    grant: DelegationGrant = get_object_or_404(visible_to(person), ref=ref)
    root = lineage_of(grant)[-1]
    descent, scope = chains.descent_of(root), scope_on(person, grant)
    above = {each.pk for each in lineage_of(grant)}  # what its authority rests on, whoever's that is
    family = [root, *(each for level in descent.values() for each in level)]
    kept = [each for each in family if each.pk in above or scope.covers_agent(each.agent.identifier)]
    rows = {row.grant.pk: row for row in shown(kept, now=now)}
    visible = set(visible_to(person).filter(pk__in=rows).values_list("pk", flat=True))
    found = [(txn, hops_seen(person, chains.tree_of(txn, now=now))) for txn in chains.recent_transactions(grant)]
    transactions = [(txn, list(tops[0].walk())) for txn, tops in found if tops]
    context = {
        "grant": grant,
        "giver": giver(root),
        "held": _held(root, rows, descent),
        "visible": visible,
        "transactions": [(txn, hops, any(hop.is_live for hop in hops)) for txn, hops in transactions],
    }
    return render(request, "grants/lineage.html", context)


class WhoForm(forms.Form):
    """What somebody could do. action: of the resource."""

    resource = forms.ModelChoiceField(
        label=gettext_lazy("Resource"),
        queryset=Resource.objects.filter(retired_at=None).order_by("name", "pk"),
        to_field_name="ref",
        empty_label=gettext_lazy("Choose a resource"),
    )


@require_safe
@requires_role("admin", "auditor")
def who(request: HttpRequest) -> HttpResponse:
    """Show every agent that could do something somewhere, and through whom."""
    form = WhoForm(request.GET if "resource" in request.GET else None)
    scope = scope_of(person_of(request))
    context: dict[str, object] = {"form": form, "is_cut": scope.agents is not None}
    if form.is_valid():
        resource: Resource = form.cleaned_data["resource"]
        actions = list(resource.actions.order_by("name"))
        chosen = next((each for each in actions if each.name == request.GET.get("action")), None)
        context |= {"resource": resource, "actions": actions, "chosen": chosen}
        if chosen is not None:
            context["paths"] = _ways(paths_seen(scope, chains.who_could(resource, chosen.name, now=clock.now())))
    return render(request, "grants/who.html", context, status=422 if form.errors else 200)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A path as the page shows it. through: the agents between, nearest to the caller first."""

    path: Path
    agent: DelegationGrant
    through: tuple[DelegationGrant, ...]
    giver: str


def _ways(paths: list[Path]) -> list[Way]:
    return [
        Way(path=path, agent=path.grants[0], through=path.grants[1:], giver=giver(path.grants[0])) for path in paths
    ]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the reader of a chain may open, by primary key: a link that leads to a 404 is worse than none."""

    agents: frozenset[int]
    grants: frozenset[int]
    requests: frozenset[int]


def _seen_by(person: User, tops: list[Hop]) -> _Seen:
    hops = [hop for top in tops for hop in top.walk()]
    agents = agents_visible_to(person).filter(pk__in={hop.token.agent_id for hop in hops})
    grants = visible_to(person).filter(pk__in={grant.pk for hop in hops for grant in hop.grants})
    asked = {hop.token.request.ref for hop in hops if hop.token.request is not None}
    requests = {found.pk for ref in asked if (found := request_for(person, ref)) is not None}
    return _Seen(
        agents=frozenset(agents.values_list("pk", flat=True)),
        grants=frozenset(grants.values_list("pk", flat=True)),
        requests=frozenset(requests),
    )


def _links(hops: list[Hop], *, policies: Mapping[str, int], seen: _Seen, prefix: str = "") -> list[Link]:
    names = labels.of({_about(hop.token) for hop in hops})
    return [
        Link(
            hop=hop,
            number=(number := f"{prefix}{place}"),
            resource=names.get(_about(hop.token), _about(hop.token)),
            role=_role(hop.token),
            may_open=hop.token.agent_id in seen.agents,
            grants=[(grant, grant.pk in seen.grants) for grant in hop.grants],
            asked=hop.token.request if hop.token.request_id in seen.requests else None,
            is_inside=hop.token.kind == TokenKind.TXN,
            state="in_force" if hop.is_live else "revoked" if hop.is_break else "ended",
            why=str(WHY.get(hop.why, "")),
            policy=policies.get(str(hop.token.jti)),
            below=_links(hop.below, policies=policies, seen=seen, prefix=f"{number}."),
        )
        for place, hop in enumerate(hops, start=1)
    ]


def _about(token: AccessToken) -> str:
    """Return the resource that a token is about; a transaction token is for its trust domain."""
    return str(token.resource[0]) if token.kind == TokenKind.TXN and token.resource else token.audience


def _role(token: AccessToken) -> str:
    if token.kind == TokenKind.TXN:
        return _("inside, by a transaction token")
    if token.kind != TokenKind.ACCESS:
        return _("carries it to another domain")
    return _("called, acts on") if token.parent_id else _("acts first")


def _flat(links: list[Link]) -> list[Link]:
    return [each for link in links for each in (link, *_flat(link.below))]


def _policies(txn: str) -> dict[str, int]:
    """Return which version of the policy allowed each token, by ``jti``, as far as the log has numbered it.

    Looked up for the tokens that are shown only, so whoever sees those sees this of them.
    """
    entries = read.entries_of_txn(txn, scope=read.EVERYTHING)
    said = [entry.data for entry in entries if {"jti", "policy_version"} <= entry.data.keys()]
    return {str(data["jti"]): int(data["policy_version"]) for data in said}


def _subject(top: Hop) -> str:
    """Return on whose behalf a transaction runs."""
    token = top.token
    assert token.agent is not None
    if token.subject_ref == token.agent.identifier:
        return _("%(agent)s itself") % {"agent": token.agent.name}
    return labels.of({token.subject_ref}).get(token.subject_ref, token.subject_ref)


def _endable(person: User, top: Hop, *, now: datetime) -> DelegationGrant | None:
    """Return the grant at the top of the chain if it stands and this person may take it back: that ends all of it."""
    for grant in top.grants:
        root = lineage_of(grant)[-1]
        if root.revoked_at is None and root.until_at > now and may_end(person, root):
            return root
    return None


def _held(grant: DelegationGrant, rows: Mapping[int, Shown], descent: Mapping[int, list[DelegationGrant]]) -> Held:
    below = [_held(child, rows, descent) for child in _nearest(grant.pk, rows, descent)]
    return Held(row=rows[grant.pk], below=below)


def _nearest(
    pk: int, rows: Mapping[int, Shown], descent: Mapping[int, list[DelegationGrant]]
) -> Iterator[DelegationGrant]:
    """Yield what a grant was passed on as; in the place of one that is not shown, what that was passed on as."""
    for child in descent.get(pk, ()):
        if child.pk in rows:
            yield child
        else:
            yield from _nearest(child.pk, rows, descent)
