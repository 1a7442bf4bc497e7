"""A request that waits for a person's yes, opened by the room's own verb."""

from __future__ import annotations

import json

from django.db import transaction

from aims.authorization.models import ApprovalRequest
from aims.authorization.services.opening import OpenRequest, open_request
from aims.authorization.wanted import Action, wanted
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.people.models import User
from tests.support.oauth_client import payment


def asked(agent: Agent, person: User, resource: Resource) -> ApprovalRequest:
    """Let an agent ask to pay for a person."""
    (detail,) = json.loads(payment("10.00"))
    row = resource.actions.get(name="payments.create")
    action = Action(row.name, row.title, row.detail_type, row.reversibility)
    items = wanted([detail], scope=(), resource=resource.identifier, actions=[action])
    command = OpenRequest(
        door="ciba", agent=agent, subject=person, resource=resource, scope="", wanted=items, details=(detail,),
        binding_message=None, agent_says=None, requested_expiry_s=None, binding="none",
    )  # fmt: skip
    with transaction.atomic():
        return open_request(command, now=clock.now())
