"""Token introspection. Spec: RFC 7662."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call, Endpoint, answer, endpoint
from aims.authorization.services import tokens


@endpoint(Endpoint.INTROSPECT)
def introspect(call: Call) -> HttpResponse:
    """Say whether a token holds, to the resource server that it is for."""
    token = call.value("token")
    if token is None:
        raise InvalidRequest("token is missing.")
    return answer(tokens.introspect(call.client, token, now=call.now))
