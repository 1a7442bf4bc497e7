"""What an agent seeks through a person's browser, what the policy says to it, and whether it was agreed to before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from aims.authorization import queries
from aims.authorization.authorize import OF_SIGN_IN, Requested
from aims.authorization.errors import AccessDenied, InvalidAuthorizationDetails, InvalidScope, InvalidTarget
from aims.authorization.models import Consent, DelegationGrant
from aims.authorization.services import policy
from aims.authorization.target import MANAGEMENT_PATH
from aims.authorization.wanted import Action, Wanted, WantedRefused, must_sign, wanted
from aims.authorization.within import details_within
from aims.identifier.models import Agent, AgentState, Resource
from aims.people.models import Role, User
from aims.policy import queries as policies
from aims.policy.engine import Ask, Deny, evaluate


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What a request seeks, in the registry's terms. resource: None where only a sign-in is asked for."""

    resource: Resource | None
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the policy says to a person's plain yes. must_sign: it takes a decision signed with a passkey."""

    must_sign: bool
    policies: tuple[str, ...] = ()
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a person agrees to: at most what was asked for. details: by their place in the request."""

    scope: tuple[str, ...]
    details: tuple[int, ...]
    until_at: datetime
    budget: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the terms as JSON values."""
        return {
            "scope": list(self.scope),
            "details": list(self.details),
            "until": self.until_at.timestamp(),
            "budget": dict(self.budget),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Terms:
        """Return the terms that ``to_dict`` wrote."""
        until_at = datetime.fromtimestamp(value["until"], UTC)
        return cls(
            scope=tuple(value["scope"]), details=tuple(value["details"]), until_at=until_at, budget=value["budget"]
        )


@dataclass(frozen=True, kw_only=True)
class Held:
    """What an agent may do for a person already. ref: of the grant; may: what its actions are called."""

    ref: str
    may: tuple[str, ...]
    until_at: datetime


def sought_by(agent: Agent, requested: Requested) -> Sought:
    """Return what a request seeks. Raises InvalidTarget, InvalidScope, InvalidAuthorizationDetails."""
    if not requested.resource:
        return Sought(resource=None, wanted=())
    resource = Resource.objects.filter(identifier=requested.resource, retired_at=None).first()
    if resource is None:
        raise InvalidTarget
    actions = [Action(row.name, row.title, row.detail_type, row.reversibility) for row in resource.actions.all()]
    try:
        items = wanted(
            requested.details, scope=requested.actions, resource=resource.identifier, actions=actions, may_sign=True
        )
    except WantedRefused as error:
        kind = InvalidScope if error.code == "invalid_scope" else InvalidAuthorizationDetails
        raise kind(error.public) from error
    return Sought(resource=resource, wanted=items)


def judge(
    agent: Agent, person: User, sought: Sought, *, jkt: str, now: datetime, grant: DelegationGrant | None = None
) -> Verdict:
    """Return what the policy says if this person agrees. grant: what they gave before, None for what they would give.

    Raises AccessDenied: of the policy, or where this person may not let agents act there.
    """
    if not person.is_active or agent.state != AgentState.ACTIVE:
        raise AccessDenied
    if sought.resource is None:
        return Verdict(must_sign=False)
    _may_delegate(person, sought.resource)
    ref, binding = grant.ref if grant else policy.PROPOSED, binding_of(agent, jkt)
    facts = [policy.facts_under(ref, agent, person, sought.resource, item, binding=binding) for item in sought.wanted]
    active = policies.active()
    decisions = [evaluate(each, policy=active) for each in facts]
    for decision in decisions:
        if isinstance(decision, Deny):
            raise AccessDenied(detail=decision.reason, policies=tuple(decision.policies))
    return Verdict(
        must_sign=must_sign(sought.wanted) or any(isinstance(decision, Ask) for decision in decisions),
        policies=tuple(dict.fromkeys(name for decision in decisions for name in decision.policies)),
        version=decisions[0].version,
    )


def remembered(
    agent: Agent, person: User, requested: Requested, sought: Sought, *, now: datetime
) -> DelegationGrant | None:
    """Return the grant by which this person agreed to all of this before, None if they did not.

    A sign-in, staying away, and details count only as they were read then: scope and details of that ``Consent``.
    """
    if sought.resource is None:
        return None
    grants = queries.grants_covering(
        agent=agent,
        person=person,
        resource=sought.resource,
        actions={item.action.name for item in sought.wanted},
        types={item.action.detail_type for item in sought.wanted if item.detail},
        now=now,
    )
    theirs = [grant for grant in grants if grant.from_person_id == person.pk]
    read_before = {consent.grant_id: consent for consent in Consent.objects.filter(grant__in=theirs)}
    return next((grant for grant in theirs if _is_read(requested, read_before.get(grant.pk))), None)


def held_from(person: User, agent: Agent, resource: Resource, *, now: datetime) -> list[Held]:
    """Return what this person lets an agent do at a resource, also from a later day on, the newest first."""
    titles = dict(resource.actions.values_list("name", "title"))
    live = queries.live_grants(now=now).filter(from_person=person, agent=agent, resource=resource)
    return [
        Held(ref=grant.ref, may=tuple(titles.get(name, name) for name in grant.actions), until_at=grant.until_at)
        for grant in live.order_by("-pk")
    ]


def narrowed(requested: Requested, terms: Terms) -> Requested:
    """Return what remains of a request under these terms."""
    return replace(
        requested,
        scope=tuple(word for word in requested.scope if word in terms.scope),
        details=tuple(detail for at, detail in enumerate(requested.details) if at in terms.details),
    )


def binding_of(agent: Agent, jkt: str) -> str:
    """Return how tokens of this agent will be bound, in the policy's word, as far as it is known before the code is used."""
    application = queries.client_of(agent)
    if application.tls_client_certificate_bound_access_tokens and not jkt:
        return "mtls"
    return "dpop" if jkt or application.dpop_bound_access_tokens else "none"


def _may_delegate(person: User, resource: Resource) -> None:
    if not person.has_role(Role.APPROVER):
        raise AccessDenied("This person may not let agents act for them.", detail="not an approver")
    # What is allowed at our own API lets an agent manage others: so only who may manage may allow it.
    if resource.identifier == settings.ISSUER + MANAGEMENT_PATH and not person.has_role(Role.ADMIN):
        raise AccessDenied("Only an admin may let an agent manage this console.", detail="not an admin")


def _is_read(requested: Requested, consent: Consent | None) -> bool:
    words = OF_SIGN_IN & set(requested.scope)
    if consent is None:
        return not words and not requested.details
    return words <= set(consent.scope.split()) and details_within(requested.details, consent.details)
