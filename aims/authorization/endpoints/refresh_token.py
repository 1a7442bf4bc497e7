"""A refresh token for the next access token, and for its own successor. Spec: RFC 6749 §6, RFC 8707 §2.2."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.endpoints.agreement import answered
from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call
from aims.authorization.services.agreed import Narrower
from aims.authorization.services.refreshing import REFRESH, Refresh, refresh


def handle(call: Call) -> HttpResponse:
    """Answer with new tokens, or with why there are none."""
    return answered(call, REFRESH, lambda: refresh(call.client, _asked(call), now=call.now))


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
