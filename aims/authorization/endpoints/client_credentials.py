"""An agent on its own behalf. Spec: RFC 6749 §4.4, RFC 8707, RFC 9396, RFC 9068."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.pipeline import Call, answer
from aims.authorization.services import own_behalf
from aims.authorization.target import loggable, read_target
from aims.kit.errors import AimsError


def handle(call: Call) -> HttpResponse:
    """Answer with a token, or with why there is none."""
    resources = call.values("resource")
    try:
        target = read_target(
            resources=resources,
            scope=call.value("scope"),
            details=call.value("authorization_details"),
            may_recall=call.client.is_recalled,
        )
        return answer(own_behalf.grant(call.client, target, now=call.now))
    except AimsError:
        if not call.client.is_recalled:
            call.resource = loggable(resources)  # asked only for the record of a refusal
        raise
