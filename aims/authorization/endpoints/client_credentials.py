"""An agent on its own behalf. Spec: RFC 6749 §4.4, RFC 8707, RFC 9396, RFC 9068."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.pipeline import Call, answer
from aims.authorization.services import own_behalf
from aims.authorization.target import Target, loggable, read_target
from aims.kit.errors import AimsError


def handle(call: Call) -> HttpResponse:
    """Answer with a token, or with why there is none."""
    try:
        return answer(own_behalf.grant(call.client, target_of(call), now=call.now))
    except AimsError:
        if not call.client.is_recalled:
            call.resource = loggable(call.values("resource"))  # asked only for the record of a refusal
        raise


def target_of(call: Call) -> Target:
    """Return what a request is about. Raises InvalidTarget, InvalidScope, InvalidAuthorizationDetails."""
    return read_target(
        resources=call.values("resource"),
        scope=call.value("scope"),
        details=call.value("authorization_details"),
        may_recall=call.client.is_recalled,
    )
