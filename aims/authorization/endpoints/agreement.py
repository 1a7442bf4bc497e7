"""What the two grants that live on a person's agreement do alike: codes and refresh tokens. Spec: RFC 6749 §4.1.3, §5.2, §6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse

from aims.authorization import queries
from aims.authorization.errors import UnauthorizedClient
from aims.authorization.pipeline import Call, answer
from aims.authorization.target import loggable
from aims.kit.errors import AimsError


def answered(call: Call, grant_type: str, verb: Callable[[], dict[str, Any] | AimsError]) -> HttpResponse:
    """Answer with what a verb gives to a client that may use this grant. Raises what it raises or returns.

    An error that the verb returns is settled: what it changed is committed, and its proofs are spent.
    """
    agent = call.client.agent
    if agent is None or not queries.client_of(agent).allows_grant_type(grant_type):
        raise UnauthorizedClient
    try:
        outcome = verb()
    except AimsError:
        call.resource = loggable(call.values("resource"))
        raise
    if isinstance(outcome, AimsError):
        call.is_settling = True
        raise outcome
    return answer(outcome)
