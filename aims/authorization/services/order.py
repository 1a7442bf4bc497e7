"""In which order transactions here lock: policy, agent, proof, request, door, meter. The statement that issues has the same one.

Otherwise one assertion at two endpoints would make each wait for the other: one holds the agent and wants the proof.
"""

from __future__ import annotations

from aims.identifier.models import Agent
from aims.policy import latch


def begin(agent: Agent | None) -> None:
    """Lock what a grant hangs on; first in the transaction of a verb that spends a proof and may lock an agent."""
    latch.share()
    if agent is not None:
        Agent.objects.select_for_update(no_key=True).values_list("pk").get(pk=agent.pk)
