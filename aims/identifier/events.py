"""What the log says about agents, trust domains and resources."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class TrustDomainRegistered(
    Event,
    type="identifier.trust_domain.registered",
    title="Registered a trust domain",
    tone="info",
):
    trust_domain: str


@dataclass(frozen=True, kw_only=True)
class TrustDomainRetired(
    Event,
    type="identifier.trust_domain.retired",
    title="Retired a trust domain",
    tone="no",
):
    trust_domain: str


@dataclass(frozen=True, kw_only=True)
class AgentRegistered(Event, type="identifier.agent.registered", title="Registered an agent", tone="info"):
    agent: str
    owner: str
    version: int


@dataclass(frozen=True, kw_only=True)
class AgentChanged(Event, type="identifier.agent.changed", title="Changed an agent", tone="info"):
    """fields: which ones changed; their values are names and addresses, and stay out of the log."""

    agent: str
    fields: list[str]
    version: int


@dataclass(frozen=True, kw_only=True)
class AgentTransferred(
    Event,
    type="identifier.agent.transferred",
    title="Gave an agent another owner",
    tone="info",
):
    agent: str
    owner_before: str
    owner: str
    version: int


@dataclass(frozen=True, kw_only=True)
class AgentSuspended(Event, type="identifier.agent.suspended", title="Suspended an agent", tone="no", part="change"):
    agent: str
    version: int


@dataclass(frozen=True, kw_only=True)
class AgentResumed(Event, type="identifier.agent.resumed", title="Resumed an agent", tone="yes", part="change"):
    agent: str
    version: int


@dataclass(frozen=True, kw_only=True)
class AgentRetired(Event, type="identifier.agent.retired", title="Retired an agent for good", tone="no", part="change"):
    agent: str
    version: int


@dataclass(frozen=True, kw_only=True)
class ResourceRegistered(
    Event,
    type="identifier.resource.registered",
    title="Registered a resource",
    tone="info",
):
    resource: str
    actions: int


@dataclass(frozen=True, kw_only=True)
class ResourceChanged(Event, type="identifier.resource.changed", title="Changed a resource", tone="info"):
    resource: str
    fields: list[str]


@dataclass(frozen=True, kw_only=True)
class ResourceRetired(Event, type="identifier.resource.retired", title="Retired a resource", tone="no"):
    resource: str


@dataclass(frozen=True, kw_only=True)
class ResourceReturned(
    Event,
    type="identifier.resource.returned",
    title="Took a resource back into use",
    tone="info",
):
    resource: str
