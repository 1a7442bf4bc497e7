"""Questions about agents and resources."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from aims.identifier.models import Agent, Resource, ResourceAction, TrustDomain
from aims.people.models import User
from audit.read import scope_of


def agent_named(identifier: str) -> Agent | None:
    """Return the agent with exactly this identifier, whatever its state (draft-ietf-wimse-identifier §7: complete)."""
    return Agent.objects.select_related("owner", "trust_domain").filter(identifier=identifier).first()


def agents_visible_to(person: User) -> QuerySet[Agent]:
    """Return the agents a person may see: those they answer for, and those that their seat before the log opens.

    That is all of them for admins, and for auditors whose seat names no agents.
    """
    agents, opened = Agent.objects.select_related("owner", "trust_domain"), scope_of(person).agents
    return agents if opened is None else agents.filter(Q(owner=person) | Q(identifier__in=opened))


def resource_named(identifier: str) -> Resource | None:
    """Return the resource in use with exactly this indicator (RFC 8707 §2)."""
    return Resource.objects.filter(identifier=identifier, retired_at=None).first()


def action_of(resource: Resource, *, name: str) -> ResourceAction | None:
    """Return an action of a resource by its name."""
    return ResourceAction.objects.filter(resource=resource, name=name).first()


def actions_for_detail(resource: Resource, *, detail_type: str) -> list[ResourceAction]:
    """Return the actions of a resource that an ``authorization_details`` type asks for (RFC 9396 §2)."""
    return list(ResourceAction.objects.filter(resource=resource, detail_type=detail_type).order_by("name"))


def trust_domains() -> QuerySet[TrustDomain]:
    """Return the trust domains that new agents may live in."""
    return TrustDomain.objects.filter(retired_at=None).order_by("name")


def agents_like(agents: QuerySet[Agent], *, text: str, state: str) -> QuerySet[Agent]:
    """Return those of the agents whose name, identifier or purpose has this text, in this state; empty: any."""
    if text:
        agents = agents.filter(Q(name__icontains=text) | Q(identifier__icontains=text) | Q(purpose__icontains=text))
    return agents.filter(state=state) if state else agents


def resources_like(resources: QuerySet[Resource], *, text: str, state: str) -> QuerySet[Resource]:
    """Return those of the resources with this text, ``active`` (in use) or ``retired``; empty: any."""
    if text:
        found = Q(name__icontains=text) | Q(identifier__icontains=text) | Q(description__icontains=text)
        resources = resources.filter(found)
    return resources.filter(retired_at__isnull=state == "active") if state else resources
