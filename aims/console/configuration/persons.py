"""The sections about people and groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aims.console.configuration.change import Applying, Change
from aims.console.configuration.document import ConfigurationRefused
from aims.people import services
from aims.people.models import Group, Membership, RoleHolding, User


def apply_person(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Create a person, and let them hold exactly the roles listed, if roles are listed."""
    person = User.objects.filter(email__iexact=item["email"]).first()
    if person is None:
        person = services.create_person(email=item["email"], name=item["name"], by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="person", name=item["email"])
    if "roles" not in item:
        return
    held = set(RoleHolding.objects.filter(person=person, until_at=None).values_list("role", flat=True))
    for role in sorted(set(item["roles"]) - held):
        services.hold_role(person, role, by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="person", name=person.email, what=f"now {role}")
    for role in sorted(held - set(item["roles"])):
        services.end_role(person, role, by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="person", name=person.email, what=f"no longer {role}")


def apply_group(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Create a group, and give it exactly the members listed, if members are listed."""
    group = Group.objects.filter(slug=item["slug"]).first()
    if group is None:
        group = services.create_group(slug=item["slug"], name=item["name"], by=ctx.by, now=ctx.now)
        yield Change(sign="+", kind="group", name=group.slug)
    if "members" not in item:
        return
    wanted = {person.pk: person for person in map(_person, item["members"])}
    rows = Membership.objects.select_related("person").filter(group=group, until_at=None)
    held = {row.person.pk: row.person for row in rows}
    for pk in sorted(wanted.keys() - held.keys()):
        services.join_group(group, wanted[pk], by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="group", name=group.slug, what=f"{wanted[pk].email} joined")
    for pk in sorted(held.keys() - wanted.keys()):
        services.leave_group(group, held[pk], by=ctx.by, now=ctx.now)
        yield Change(sign="~", kind="group", name=group.slug, what=f"{held[pk].email} left")


def _person(email: str) -> User:
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        raise ConfigurationRefused(f"Nobody here has the address {email}. List them under people first.")
    return person
