"""Verbs on agents, trust domains and resources. Each is one transaction with one entry."""

from aims.identifier.services.agents import (
    RegisterAgent,
    UpdateAgent,
    raise_version,
    register_agent,
    resume,
    retire,
    suspend,
    transfer_owner,
    update_agent,
)
from aims.identifier.services.resources import (
    ActionSpec,
    RegisterResource,
    actions_of,
    register_resource,
    retire_resource,
    return_resource,
    update_resource,
)
from aims.identifier.services.trust_domains import (
    register_trust_domain,
    retire_trust_domain,
)

__all__ = [
    "ActionSpec",
    "RegisterAgent",
    "RegisterResource",
    "UpdateAgent",
    "actions_of",
    "raise_version",
    "register_agent",
    "register_resource",
    "register_trust_domain",
    "resume",
    "retire",
    "retire_resource",
    "retire_trust_domain",
    "return_resource",
    "suspend",
    "transfer_owner",
    "update_agent",
    "update_resource",
]
