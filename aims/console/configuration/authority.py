"""The sections about grants and policies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aims.authorization import budget
from aims.authorization.models import DelegationGrant
from aims.authorization.services.grants import GiveGrant, give_grant, revoke_grant
from aims.console.configuration.change import Applying, Change
from aims.console.configuration.document import ConfigurationRefused
from aims.identifier.models import Agent, Resource
from aims.people.models import User
from aims.policy.models import PolicyVersion
from aims.policy.services import load_policy


def apply_policy(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Put a policy text in force."""
    before = PolicyVersion.objects.filter(is_active=True).values_list("number", flat=True).first()
    version = load_policy(item["text"], by=ctx.by, now=ctx.now, name=item["name"])
    if version.number != before:
        yield Change(sign="~" if before else "+", kind="policy", name=item["name"], what=f"version {version.number}")


def apply_grant(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Give or revoke a grant. Two grants are the same if all that they say is."""
    command = _command(item)
    row = _same(command)
    name = f"{command.agent.identifier} at {command.resource.identifier}"
    if item.get("state") == "revoked":
        if row is not None:
            revoke_grant(row, by=ctx.by, now=ctx.now)
            yield Change(sign="-", kind="grant", name=name, what="revoked")
    elif row is None:
        give_grant(command, by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="grant", name=name)


def _command(item: dict[str, Any]) -> GiveGrant:
    agent = Agent.objects.filter(identifier=item["agent"]).first()
    resource = Resource.objects.filter(identifier=item["resource"]).first()
    if agent is None or resource is None:
        raise ConfigurationRefused(f"The grant of {item['agent']} names an agent or resource that is not registered.")
    return GiveGrant(
        from_person=_giver(item.get("from_person")),
        agent=agent,
        resource=resource,
        actions=tuple(item.get("actions", [])),
        detail_types=tuple(item.get("detail_types", [])),
        mission=item.get("mission", ""),
        starts_at=_moment(item["starts"]) if "starts" in item else None,
        until_at=_moment(item["until"]),
        budget=_budget(item.get("budget", {})),
        depth=item.get("depth", 0),
    )


def _same(command: GiveGrant) -> DelegationGrant | None:
    rows = DelegationGrant.objects.filter(
        agent=command.agent,
        resource=command.resource,
        from_person=command.from_person,
        mission=command.mission,
        starts_at=command.starts_at,
        until_at=command.until_at,
        depth=command.depth,
        parent=None,
        revoked_at=None,
    )
    wanted = (set(command.actions), set(command.detail_types), dict(command.budget))
    return next((row for row in rows if (set(row.actions), set(row.detail_types), row.budget) == wanted), None)


def _giver(email: str | None) -> User | None:
    if email is None:
        return None
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        raise ConfigurationRefused(f"Nobody here has the address {email}. List them under people first.")
    return person


def _budget(given: dict[str, Any]) -> dict[str, Any]:
    try:
        return budget.checked(given)
    except budget.BudgetRefused as error:
        raise ConfigurationRefused(str(error)) from error


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationRefused(f"{text} is not a moment, such as 2027-01-31T12:00:00Z.") from error
