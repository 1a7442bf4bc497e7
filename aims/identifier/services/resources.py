"""Verbs on resources and their actions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import F

from aims.identifier.errors import (
    ActionRefused,
    IdentifierTaken,
    ResourceRefused,
    UnlawfulMove,
)
from aims.identifier.events import (
    ResourceChanged,
    ResourceRegistered,
    ResourceRetired,
    ResourceReturned,
)
from aims.identifier.models import (
    IDENTIFIER_MAX_BYTES,
    Agent,
    AgentState,
    Resource,
    ResourceAction,
    Reversibility,
)
from aims.identifier.services.record import registry_facts
from aims.identifier.services.text import NAME_MAX, checked
from audit.write import record

DESCRIPTION_MAX = 400
TITLE_MAX = 120
DETAIL_TYPE_MAX = 120
ACTIONS_MAX = 200  # a resource
# RFC 6749 §3.3: an action is a scope token; ours leave out what would need quoting somewhere.
_ACTION = re.compile(r"[A-Za-z0-9._:/-]{1,80}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """An action of a resource. detail_type: its ``authorization_details`` type, or empty (scope only)."""

    name: str
    title: str
    reversibility: str
    detail_type: str = ""


@dataclass(frozen=True, kw_only=True)
class RegisterResource:
    """A resource with everything that can be done there. operator: the agent that runs it, None for anybody else."""

    identifier: str
    name: str
    kind: str = Resource.Kind.API
    description: str = ""
    actions: tuple[ActionSpec, ...] = ()
    operator: Agent | None = None


def register_resource(command: RegisterResource, *, by: str, now: datetime) -> Resource:
    """Register a resource. Raises ResourceRefused, ActionRefused, IdentifierTaken, FieldRefused."""
    _check(command)
    resource = Resource(identifier=command.identifier, registered_at=now, operator=command.operator, **_texts(command))
    with transaction.atomic():
        _insert(resource)
        _write_actions(resource, command.actions)
        event = ResourceRegistered(resource=resource.ref, actions=len(command.actions))
        record(event, by=by, facts=registry_facts(resource=resource.identifier))
    return resource


def update_resource(resource: Resource, command: RegisterResource, *, by: str, now: datetime) -> tuple[str, ...]:
    """Change name, kind, description, operator and actions; return the names of what changed. None, no entry.

    The identifier stays. Raises as registering.
    """
    _check(command)
    texts = _texts(command)
    with transaction.atomic():
        row = Resource.objects.select_for_update().get(pk=resource.pk)
        if command.identifier != row.identifier:
            raise ResourceRefused("The identifier of a resource never changes. Register another resource.")
        fields = sorted(name for name, text in texts.items() if getattr(row, name) != text)
        if set(command.actions) != actions_of(row):
            fields.append("actions")
        if command.operator != row.operator:
            fields.append("operator")
        if not fields:
            return ()
        Resource.objects.filter(pk=row.pk).update(version=F("version") + 1, operator=command.operator, **texts)
        _write_actions(row, command.actions)
        record(
            ResourceChanged(resource=row.ref, fields=fields),
            by=by,
            facts=registry_facts(resource=row.identifier),
        )
    resource.refresh_from_db()
    return tuple(fields)


def retire_resource(resource: Resource, *, by: str, now: datetime) -> None:
    """Issue no more tokens for a resource. Raises UnlawfulMove."""
    with transaction.atomic():
        live = Resource.objects.filter(pk=resource.pk, retired_at=None)
        if live.update(retired_at=now, version=F("version") + 1) != 1:
            raise UnlawfulMove("This resource has been retired already.")
        record(
            ResourceRetired(resource=resource.ref),
            by=by,
            facts=registry_facts(resource=resource.identifier),
        )
    resource.refresh_from_db()


def return_resource(resource: Resource, *, by: str, now: datetime) -> None:
    """Take a retired resource back into use. Raises UnlawfulMove."""
    with transaction.atomic():
        retired = Resource.objects.filter(pk=resource.pk, retired_at__isnull=False)
        if retired.update(retired_at=None, version=F("version") + 1) != 1:
            raise UnlawfulMove("This resource is in use already.")
        record(
            ResourceReturned(resource=resource.ref),
            by=by,
            facts=registry_facts(resource=resource.identifier),
        )
    resource.refresh_from_db()


def actions_of(resource: Resource) -> set[ActionSpec]:
    """Return the actions as they stand, as values that can be compared."""
    return {
        ActionSpec(
            name=row.name,
            title=row.title,
            reversibility=row.reversibility,
            detail_type=row.detail_type,
        )
        for row in resource.actions.all()
    }


def _check(command: RegisterResource) -> None:
    _check_identifier(command.identifier)
    if command.kind not in Resource.Kind.values:
        raise ResourceRefused(f"The kind of a resource is one of {', '.join(Resource.Kind.values)}.")
    if command.operator is not None and command.operator.state == AgentState.RETIRED:
        raise ResourceRefused("The agent that runs a resource must not be retired.")
    _check_actions(command.actions)


def _check_identifier(identifier: str) -> None:
    """Raise ResourceRefused. Spec: RFC 8707 §2; RFC 3986 §4.3."""
    if not identifier.isascii() or not identifier.isprintable() or " " in identifier or "#" in identifier:
        raise ResourceRefused()
    if len(identifier) > IDENTIFIER_MAX_BYTES:
        raise ResourceRefused("The resource identifier is longer than 2,048 bytes.")
    try:
        parts = urlsplit(identifier)
    except ValueError as error:
        raise ResourceRefused() from error
    if not parts.scheme or not (parts.netloc or parts.scheme == "urn") or parts.username is not None:
        raise ResourceRefused()


def _check_actions(actions: Iterable[ActionSpec]) -> None:
    names = [action.name for action in actions]
    if len(names) > ACTIONS_MAX:
        raise ActionRefused(f"A resource has at most {ACTIONS_MAX} actions.")
    if len(set(names)) != len(names):
        raise ActionRefused("An action is listed twice.")
    for action in actions:
        if not _ACTION.fullmatch(action.name):
            raise ActionRefused("An action's name has 1 to 80 letters, digits and . _ : / - only.")
        if action.reversibility not in Reversibility.values:
            raise ActionRefused(f"Reversibility is one of {', '.join(Reversibility.values)}.")
        checked(action.title, field="title of an action", max_length=TITLE_MAX)
        checked(
            action.detail_type,
            field="detail type",
            max_length=DETAIL_TYPE_MAX,
            may_be_empty=True,
        )


def _texts(command: RegisterResource) -> dict[str, str]:
    return {
        "name": checked(command.name, field="name", max_length=NAME_MAX),
        "kind": command.kind,
        "description": checked(
            command.description,
            field="description",
            max_length=DESCRIPTION_MAX,
            may_be_empty=True,
        ),
    }


def _write_actions(resource: Resource, actions: Iterable[ActionSpec]) -> None:
    resource.actions.all().delete()
    ResourceAction.objects.bulk_create(
        ResourceAction(
            resource=resource,
            name=action.name,
            title=action.title,
            reversibility=action.reversibility,
            detail_type=action.detail_type,
        )
        for action in actions
    )


def _insert(resource: Resource) -> None:
    try:
        with transaction.atomic():
            resource.save(force_insert=True)
    except IntegrityError as error:
        raise IdentifierTaken("A resource with this identifier is registered already.") from error
