"""A refresh token for the next access token, and for its own successor. Spec: RFC 6749 §6, RFC 8707 §2.2."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization import queries
from aims.authorization.errors import InvalidRequest, UnauthorizedClient
from aims.authorization.pipeline import Call, answer
from aims.authorization.services.agreed import Narrower
from aims.authorization.services.refreshing import REFRESH, Refresh, refresh
from aims.authorization.target import loggable
from aims.kit.errors import AimsError


def handle(call: Call) -> HttpResponse:
    """Answer with new tokens, or with why there are none."""
    agent = call.client.agent
    if agent is None or not queries.client_of(agent).allows_grant_type(REFRESH):
        raise UnauthorizedClient
    try:
        outcome = refresh(call.client, _asked(call), now=call.now)
    except AimsError:
        call.resource = loggable(call.values("resource"))
        raise
    if isinstance(outcome, AimsError):
        call.is_settling = True
        raise outcome
    return answer(outcome)


def _asked(call: Call) -> Refresh:
    token = call.value("refresh_token")
    if token is None:
        raise InvalidRequest("refresh_token is missing.")
    return Refresh(
        refresh_token=token,
        narrower=Narrower(
            resources=call.values("resource"), scope=call.value("scope"), details=call.value("authorization_details")
        ),
    )
