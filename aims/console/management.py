"""Our own API as an ordinary resource: its actions are its scopes, so grants and policy decide who may call it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from aims.authentication import dpop
from aims.authorization import fapi
from aims.authorization.queries import live_grants
from aims.authorization.target import MANAGEMENT_PATH
from aims.identifier.models import Agent, Resource, Reversibility
from aims.identifier.services import ActionSpec, RegisterResource, actions_of, register_resource, update_resource
from aims.resource_server import metadata

NAME = "Management API"
DESCRIPTION = "This console's own API: what is granted here lets an agent manage others."
_READ, _MANAGE = Reversibility.READ_ONLY.value, Reversibility.REVERSIBLE.value
REPORT = "report.events"  # what an agent says of itself manages nothing
SCOPES = (
    ActionSpec(name="manage.agents", title="Manage agents and their keys", reversibility=_MANAGE),
    ActionSpec(name="manage.feeds", title="Give the log to receivers, and end that", reversibility=_MANAGE),
    ActionSpec(name="manage.findings", title="Take up and close findings", reversibility=_MANAGE),
    ActionSpec(name="manage.grants", title="Give and take back grants", reversibility=_MANAGE),
    ActionSpec(name="manage.people", title="Manage people, roles and groups", reversibility=_MANAGE),
    ActionSpec(name="manage.policies", title="Put policies in force", reversibility=_MANAGE),
    ActionSpec(name="manage.resources", title="Manage resources and trust domains", reversibility=_MANAGE),
    ActionSpec(name="read.audit", title="Read the audit log", reversibility=_READ),
    ActionSpec(name="read.requests", title="Read approval requests", reversibility=_READ),
    ActionSpec(name=REPORT, title="Report what was done", reversibility=_MANAGE),
)


def audience() -> str:
    """Return the resource indicator of our API: the audience of the tokens that it takes."""
    return f"{settings.ISSUER}{MANAGEMENT_PATH}"


def describe() -> dict[str, Any]:
    """Return what our API says of itself (RFC 9728 §2): how it takes tokens, and no more than it checks."""
    return metadata.document(
        identifier=audience(),
        authorization_servers=[settings.ISSUER],
        takes_bearer=not fapi.is_on(),
        proof_algorithms=dpop.ALGORITHMS,
        takes_certificates=True,
        name=NAME,
        documentation=f"{settings.ISSUER}/api/docs/",
        scopes=[spec.name for spec in SCOPES],
    )


def ensure_management_api(*, by: str, now: datetime) -> Resource:
    """Register our API, or add the actions it lacks; what an operator made stricter stays. Repeated, it writes nothing."""
    with transaction.atomic():
        row = Resource.objects.select_for_update().filter(identifier=audience()).first()
        if row is None:
            command = RegisterResource(identifier=audience(), name=NAME, description=DESCRIPTION, actions=SCOPES)
            return register_resource(command, by=by, now=now)
        held = actions_of(row)
        missing = [spec for spec in SCOPES if spec.name not in {action.name for action in held}]
        if missing:
            actions = tuple(sorted([*held, *missing], key=lambda action: action.name))
            update_resource(row, _with(row, actions), by=by, now=now)
    return row


def may_manage(agent: Agent, *, now: datetime) -> bool:
    """Return whether an agent holds a grant at our API, and so stands among those that manage; reporting alone is none."""
    held = live_grants(now=now).filter(agent=agent, resource__identifier=audience())
    return any(set(grant.actions) - {REPORT} for grant in held)


def _with(row: Resource, actions: tuple[ActionSpec, ...]) -> RegisterResource:
    return RegisterResource(
        identifier=row.identifier, name=row.name, kind=row.kind, description=row.description, actions=actions
    )
