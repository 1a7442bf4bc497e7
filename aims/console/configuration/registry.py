"""The sections about trust domains, resources, agents and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aims.authorization.services import agents as stopping
from aims.console.configuration.change import Applying, Change
from aims.console.configuration.document import ConfigurationRefused
from aims.credentials import queries as keys
from aims.credentials import services as credentials
from aims.identifier import services
from aims.identifier.models import Agent, Resource, TrustDomain
from aims.identifier.queries import agent_named
from aims.people.models import Group, User

_REASON = "as configured"


def apply_trust_domain(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Register or retire a trust domain."""
    row = TrustDomain.objects.filter(name=item["name"]).first()
    if row is None:
        row = services.register_trust_domain(item["name"], by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="trust domain", name=row.name)
    if item.get("state") == "retired" and row.retired_at is None:
        services.retire_trust_domain(row, by=ctx.by, now=ctx.now)
        yield Change(sign="-", kind="trust domain", name=row.name, what="retired")


def apply_resource(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Register, change or retire a resource."""
    command = _resource_command(item)
    row = Resource.objects.filter(identifier=command.identifier).first()
    if row is None:
        row = services.register_resource(command, by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="resource", name=row.identifier)
    elif _differs(row, command):
        services.update_resource(row, command, by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="resource", name=row.identifier, what="fields or actions")
    yield from _apply_keys("resource", row.identifier, row.ref, item, ctx)
    wanted = item.get("state", "active")
    if wanted == "retired" and row.retired_at is None:
        services.retire_resource(row, by=ctx.by, now=ctx.now)
        yield Change(sign="-", kind="resource", name=row.identifier, what="retired")
    elif "state" in item and wanted == "active" and row.retired_at is not None:
        services.return_resource(row, by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="resource", name=row.identifier, what="in use again")


def apply_agent(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Register or change an agent, and move it to the state that the file names."""
    owner, groups = _person(item["owner"]), _groups(item.get("groups", []))
    agent = agent_named(item["identifier"])
    if agent is None:
        agent = services.register_agent(_agent_command(item, owner, groups), by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="agent", name=agent.identifier)
    elif agent.state != "retired":
        yield from _change_agent(agent, item, owner, groups, ctx)
    if agent.state != "retired":
        yield from _apply_keys("agent", agent.identifier, agent.ref, item, ctx)
    yield from _move_agent(agent, item, ctx)


def _change_agent(
    agent: Agent, item: dict[str, Any], owner: User, groups: tuple[Group, ...], ctx: Applying
) -> Iterator[Change]:
    before = agent.version
    command = services.UpdateAgent(
        name=item["name"],
        purpose=item["purpose"],
        contact=item["contact"],
        related_groups=groups if "groups" in item else tuple(agent.related_groups.all()),
    )
    services.update_agent(agent, command, by=ctx.by, now=ctx.now)
    services.transfer_owner(agent, to=owner, by=ctx.by, now=ctx.now)
    agent.refresh_from_db()
    if agent.version != before:
        yield Change(sign="~", kind="agent", name=agent.identifier, what="fields, groups or owner")


def _move_agent(agent: Agent, item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Move the agent if the file names a state; without one, a suspension made by hand stays."""
    wanted = item.get("state", agent.state)
    if wanted == agent.state:
        return
    verb = {
        "active": stopping.resume_agent,
        "suspended": stopping.suspend_agent,
        "retired": stopping.retire_agent,
    }[wanted]
    verb(agent, reason=item.get("reason", _REASON), by=ctx.by, now=ctx.now)
    yield Change(sign="~" if wanted == "active" else "-", kind="agent", name=agent.identifier, what=wanted)


def _apply_keys(kind: str, name: str, holder_ref: str, item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    if "jwks" in item:
        before = {key.thumbprint for key in keys.registered_keys_of(holder_ref)}
        after = {key.thumbprint for key in credentials.register_keys(holder_ref, item["jwks"], by=ctx.by, now=ctx.now)}
        if before != after:
            yield Change(sign="~", kind=kind, name=name, what="keys")
    if "jwks_uri" in item and keys.jwks_uri_of(holder_ref) != item["jwks_uri"]:
        credentials.set_jwks_uri(holder_ref, item["jwks_uri"], by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind=kind, name=name, what="jwks_uri")


def _agent_command(item: dict[str, Any], owner: User, groups: tuple[Group, ...]) -> services.RegisterAgent:
    return services.RegisterAgent(
        identifier=item["identifier"],
        name=item["name"],
        purpose=item["purpose"],
        contact=item["contact"],
        owner=owner,
        related_groups=groups,
    )


def _resource_command(item: dict[str, Any]) -> services.RegisterResource:
    return services.RegisterResource(
        identifier=item["identifier"],
        name=item["name"],
        kind=item.get("kind", "api"),
        description=item.get("description", ""),
        actions=tuple(services.ActionSpec(**action) for action in item.get("actions", [])),
    )


def _differs(row: Resource, command: services.RegisterResource) -> bool:
    return services.actions_of(row) != set(command.actions) or any(
        getattr(row, name) != getattr(command, name).strip() for name in ("name", "kind", "description")
    )


def _person(email: str) -> User:
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        raise ConfigurationRefused(f"Nobody here has the address {email}. List them under people first.")
    return person


def _groups(slugs: list[str]) -> tuple[Group, ...]:
    groups = tuple(Group.objects.filter(slug__in=slugs))
    if missing := sorted(set(slugs) - {group.slug for group in groups}):
        raise ConfigurationRefused(f"There is no group {missing[0]}. List it under groups first.")
    return groups
