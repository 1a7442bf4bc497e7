"""The facts of entries about keys."""

from __future__ import annotations

from dataclasses import replace

from aims.identifier.models import Agent, Resource
from audit.write import NOBODY, Facts


def key_facts(holder_ref: str | None = None) -> Facts:
    """Return facts that name the agent or resource holding the keys, or nobody for our own."""
    agent = Agent.objects.filter(ref=holder_ref).values_list("identifier", flat=True).first()
    resource = Resource.objects.filter(ref=holder_ref).values_list("identifier", flat=True).first()
    return replace(NOBODY, agent=agent, resource=resource)
