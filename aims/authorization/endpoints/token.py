"""The token endpoint. Spec: RFC 6749 §3.2."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.endpoints import (
    authorization_code,
    ciba_token,
    client_credentials,
    jwt_bearer,
    long_poll,
    refresh_token,
    token_exchange,
)
from aims.authorization.errors import InvalidRequest, UnauthorizedClient, UnsupportedGrantType
from aims.authorization.known_clients import is_registered_for
from aims.authorization.pipeline import Call, Endpoint, Handler, endpoint
from aims.authorization.request_errors import AuthorizationPending, SlowDown
from aims.authorization.services.refreshing import REFRESH

# What is not listed is closed: no door of the toolkit answers here.
GRANTS: dict[str, Handler] = {
    "client_credentials": client_credentials.handle,
    ciba_token.CIBA: ciba_token.handle,
    authorization_code.CODE: authorization_code.handle,
    REFRESH: refresh_token.handle,
    token_exchange.TOKEN_EXCHANGE: token_exchange.handle,
    jwt_bearer.JWT_BEARER: jwt_bearer.handle,
}


@endpoint(Endpoint.TOKEN)
def token(call: Call) -> HttpResponse:
    """Answer by grant type."""
    grant_type = call.value("grant_type")
    if grant_type is None:
        raise InvalidRequest("grant_type is missing.")
    if grant_type not in GRANTS:
        raise UnsupportedGrantType
    agent = call.client.agent
    if agent is None or not is_registered_for(agent, grant_type, may_recall=call.client.is_recalled):
        raise UnauthorizedClient  # RFC 6749 §5.2: not authorized to use this grant type
    try:
        return GRANTS[grant_type](call)
    except SlowDown:
        raise  # too early is answered at once
    except AuthorizationPending:
        long_poll.may_be_held(call)
        raise
