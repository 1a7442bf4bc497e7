"""The JWT authorization grant: somebody's signed word about the subject. Spec: RFC 7523 §2.1."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call, answer
from aims.authorization.services import jwt_grants
from aims.authorization.target import loggable
from aims.kit.errors import AimsError

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def handle(call: Call) -> HttpResponse:
    """Answer with a token, or with why there is none."""
    presented = jwt_grants.Presented(
        assertion=_assertion(call),
        resources=call.values("resource"),
        scope=call.value("scope"),
        details=call.value("authorization_details"),
    )
    try:
        return answer(jwt_grants.grant(call.client, presented, now=call.now))
    except AimsError:
        call.resource = loggable(call.values("resource"))
        raise


def _assertion(call: Call) -> str:
    assertion = call.value("assertion")
    if assertion is None:
        raise InvalidRequest("assertion is missing.")
    return assertion
