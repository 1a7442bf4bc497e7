"""Token revocation, which also withdraws a request by its auth_req_id. Spec: RFC 7009."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpResponse

from aims.authentication.replay import spend
from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call, Endpoint, answer, endpoint
from aims.authorization.services import families, requests, tokens
from aims.authorization.services.order import begin
from aims.authorization.services.refreshing import REFRESH


@endpoint(Endpoint.REVOKE)
def revoke(call: Call) -> HttpResponse:
    """Revoke what is the client's; answer 200 whatever it was. Spec: RFC 7009 §2.2: a hint never limits the search."""
    token = call.value("token")
    if token is None:
        raise InvalidRequest("token is missing.")
    agent = call.client.agent
    assert agent is not None
    with transaction.atomic():
        begin(agent)
        spend(*call.client.proofs)
        for look_up in _in_order(call.value("token_type_hint")):
            if look_up(call.client, token, now=call.now):
                break
        else:
            requests.cancel_by_auth_req_id(agent, token, now=call.now)
    return answer({})


def _in_order(hint: str | None) -> tuple[Callable[..., bool], ...]:
    """RFC 7009 §2.1: a hint says where to look first; whatever it says, the other kind is looked for too."""
    verbs = (tokens.revoke, families.revoke)
    return verbs[::-1] if hint == REFRESH else verbs
