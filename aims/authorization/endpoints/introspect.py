"""Token introspection. Spec: RFC 7662."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.endpoints.token_exchange import TXN_TOKEN
from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call, Endpoint, answer, endpoint
from aims.authorization.services import tokens, txn_introspection


@endpoint(Endpoint.INTROSPECT)
def introspect(call: Call) -> HttpResponse:
    """Say whether a token holds, to the resource server that it is for."""
    token = call.value("token")
    if token is None:
        raise InvalidRequest("token is missing.")
    # RFC 7662 §2.1: a hint never limits the search. Without it a transaction token is unknown here, on purpose.
    if call.value("token_type_hint") == TXN_TOKEN:
        known = txn_introspection.introspect(call.client, token, now=call.now)
        if known is not None:
            return answer(known)
    return answer(tokens.introspect(call.client, token, now=call.now))
