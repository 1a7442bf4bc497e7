"""The sections about trust domains, resources, agents and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aims.authorization.client_models import TrustRule
from aims.authorization.services import agents as stopping
from aims.authorization.services import trust_rules
from aims.authorization.services.clients import ClientSettings, proving, settings_of
from aims.console import registering
from aims.console.configuration.change import Applying, Change
from aims.console.configuration.document import (
    BUNDLE,
    BUNDLE_URL,
    DPOP_BOUND,
    ENDPOINT,
    MODE,
    REDIRECTS,
    SIGNING_ALG,
    ConfigurationRefused,
)
from aims.console.registering import Keys
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
    if BUNDLE in item and credentials.set_bundle(row, item[BUNDLE], by=ctx.by, now=ctx.now):
        yield Change(sign="~", kind="trust domain", name=row.name, what="bundle")
    if BUNDLE_URL in item and credentials.set_bundle_endpoint(row, item[BUNDLE_URL], by=ctx.by, now=ctx.now):
        yield Change(sign="~", kind="trust domain", name=row.name, what="where its bundle is fetched")


def apply_resource(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Register, change or retire a resource."""
    row = Resource.objects.select_related("operator").filter(identifier=item["identifier"]).first()
    command = _resource_command(item, row)
    if row is None:
        row = registering.register_resource_with_keys(command, keys=_keys(item), by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="resource", name=row.identifier)
    elif changed := registering.change_resource(row, command, keys=_keys(item), by=ctx.by, now=ctx.now):
        yield Change(sign="~", kind="resource", name=row.identifier, what=", ".join(changed))
    wanted = item.get("state", "active")
    if wanted == "retired" and row.retired_at is None:
        services.retire_resource(row, by=ctx.by, now=ctx.now)
        yield Change(sign="-", kind="resource", name=row.identifier, what="retired")
    elif "state" in item and wanted == "active" and row.retired_at is not None:
        services.return_resource(row, by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="resource", name=row.identifier, what="in use again")


def apply_agent(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Register or change an agent with its keys and its delivery, and move it to the state that the file names."""
    owner, groups = _person(item["owner"]), _groups(item.get("groups", []))
    agent = agent_named(item["identifier"])
    if agent is None:
        command, client = _agent_command(item, owner, groups), _client(item, ClientSettings())
        agent = registering.register(command, keys=_keys(item), client=client, by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="agent", name=agent.identifier, what=client.delivery_mode)
    elif agent.state != "retired":
        yield from _change_agent(agent, item, owner, groups, ctx)
    yield from _move_agent(agent, item, ctx)


def apply_trust_rule(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Add a trust rule, or end it. Another owner is another rule: the old one ends."""
    row = (
        TrustRule.objects.select_related("owner").filter(kind=item["kind"], value=item["value"], ended_at=None).first()
    )
    owner, is_wanted = _person(item["owner"]), item.get("state", "active") == "active"
    name = f"{item['kind']} {item['value']}"
    if row is not None and not (is_wanted and row.owner == owner):
        trust_rules.end_rule(row, by=ctx.by, now=ctx.now)
        yield Change(sign="-", kind="trust rule", name=name, what="ended")
        row = None
    if row is None and is_wanted:
        trust_rules.add_rule(item["kind"], item["value"], owner=owner, by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="trust rule", name=name)


def _change_agent(
    agent: Agent, item: dict[str, Any], owner: User, groups: tuple[Group, ...], ctx: Applying
) -> Iterator[Change]:
    command = services.UpdateAgent(
        name=item["name"],
        purpose=item["purpose"],
        contact=item["contact"],
        related_groups=groups if "groups" in item else tuple(agent.related_groups.all()),
    )
    client = _client(item, settings_of(agent))
    changed = registering.change(agent, command, owner=owner, keys=_keys(item), client=client, by=ctx.by, now=ctx.now)
    if changed:
        words = (f"delivery by {client.delivery_mode}" if name == "delivery" else name for name in changed)
        yield Change(sign="~", kind="agent", name=agent.identifier, what=", ".join(words))


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


def _keys(item: dict[str, Any]) -> Keys:
    """Return the keys that the file names; what it does not name stays."""
    return Keys(jwks=item.get("jwks"), jwks_uri=item.get("jwks_uri"))


def _client(item: dict[str, Any], held: ClientSettings) -> ClientSettings:
    """Return how the agent takes delivery. Poll has no endpoint, so a file that goes back to poll needs to name none."""
    mode = item.get(MODE, held.delivery_mode)
    endpoint = item.get(ENDPOINT, held.notification_endpoint if mode == "ping" else "")
    return ClientSettings(
        delivery_mode=mode,
        notification_endpoint=endpoint,
        request_signing_alg=item.get(SIGNING_ALG, held.request_signing_alg),
        dpop_bound=item.get(DPOP_BOUND, held.dpop_bound),
        redirect_uris=tuple(item.get(REDIRECTS, held.redirect_uris)),
        **proving(item, held),
    )


def _agent_command(item: dict[str, Any], owner: User, groups: tuple[Group, ...]) -> services.RegisterAgent:
    return services.RegisterAgent(
        identifier=item["identifier"],
        name=item["name"],
        purpose=item["purpose"],
        contact=item["contact"],
        owner=owner,
        related_groups=groups,
    )


def _resource_command(item: dict[str, Any], held: Resource | None) -> services.RegisterResource:
    return services.RegisterResource(
        identifier=item["identifier"],
        name=item["name"],
        kind=item.get("kind", "api"),
        description=item.get("description", ""),
        actions=tuple(services.ActionSpec(**action) for action in item.get("actions", [])),
        operator=_operator(item["operator"]) if "operator" in item else (held.operator if held else None),
    )


def _operator(identifier: str) -> Agent | None:
    """Return the agent that runs a resource; None of an empty text, which takes it away."""
    agent = agent_named(identifier) if identifier else None
    if identifier and agent is None:
        raise ConfigurationRefused(f"The operator {identifier} is not registered. List it under agents first.")
    return agent


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
