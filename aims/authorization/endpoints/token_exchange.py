"""Token exchange: the one a token is for goes on with it, in its own name. Spec: RFC 8693 §2."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call, answer
from aims.authorization.services import exchange
from aims.authorization.target import loggable
from aims.kit.errors import AimsError

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def handle(call: Call) -> HttpResponse:
    """Answer with a token that stands below the subject token, or with why there is none."""
    try:
        body = exchange.exchange(call.client, _asked(call), now=call.now)
    except AimsError:
        call.resource = loggable(call.values("resource") + call.values("audience"))
        raise
    return answer(body | {"issued_token_type": ACCESS_TOKEN})


def _asked(call: Call) -> exchange.Asked:
    subject_token = call.value("subject_token")
    if subject_token is None:
        raise InvalidRequest("subject_token is missing.")
    # An access token of ours and nothing else: ID tokens, refresh tokens, transaction tokens and SAML are other kinds.
    if call.value("subject_token_type") != ACCESS_TOKEN:
        raise InvalidRequest("subject_token_type must be that of an access token.")
    if call.value("requested_token_type") not in (None, ACCESS_TOKEN):
        raise InvalidRequest("requested_token_type must be that of an access token.")
    return exchange.Asked(
        subject_token=subject_token,
        actor_token=_actor_token(call),
        resources=call.values("resource") + call.values("audience"),
        scope=call.value("scope"),
        details=call.value("authorization_details"),
    )


def _actor_token(call: Call) -> str | None:
    """RFC 8693 §2.1: the type is required with an actor token, and forbidden without."""
    actor_token, kind = call.value("actor_token"), call.value("actor_token_type")
    if (actor_token is None) != (kind is None):
        raise InvalidRequest("actor_token and actor_token_type go together.")
    if kind not in (None, ACCESS_TOKEN):
        raise InvalidRequest("actor_token_type must be that of an access token.")
    return actor_token
