"""Token exchange: what somebody holds, for what they need next. Spec: RFC 8693 §2."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpResponse

from aims.authentication.client import Client
from aims.authorization.errors import InvalidRequest
from aims.authorization.models import TokenKind
from aims.authorization.pipeline import Call, answer
from aims.authorization.services import exchange
from aims.authorization.target import loggable
from aims.kit.errors import AimsError

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN = TYPE + "access_token"
TXN_TOKEN = TYPE + "txn_token"  # draft-ietf-oauth-transaction-tokens
SELF_SIGNED = TYPE + "self_signed"
JWT = TYPE + "jwt"  # draft-ietf-oauth-identity-chaining: a grant for another domain
ID_TOKEN = TYPE + "id_token"
ID_JAG = TYPE + "id-jag"  # draft-ietf-oauth-identity-assertion-authz-grant

Verb = Callable[[Client, exchange.Asked, datetime], dict[str, Any]]

# Subject token type and requested token type: what is not listed is refused. ``unsigned_json`` is nobody's word.
VERBS: dict[tuple[str, str], Verb] = {
    (ACCESS_TOKEN, ACCESS_TOKEN): lambda client, asked, now: exchange.exchange(client, asked, now=now),
    (TXN_TOKEN, ACCESS_TOKEN): lambda client, asked, now: exchange.exchange(client, asked, now=now),
    (ACCESS_TOKEN, TXN_TOKEN): lambda client, asked, now: exchange.replace_or_begin(client, asked, now=now),
    (TXN_TOKEN, TXN_TOKEN): lambda client, asked, now: exchange.replace_or_begin(client, asked, now=now),
    (SELF_SIGNED, TXN_TOKEN): lambda client, asked, now: exchange.begin_transaction(client, asked, now=now),
    (ACCESS_TOKEN, JWT): lambda client, asked, now: exchange.to_jwt_grant(client, asked, now=now),
    (TXN_TOKEN, JWT): lambda client, asked, now: exchange.to_jwt_grant(client, asked, now=now),
    (ID_TOKEN, ID_JAG): lambda client, asked, now: exchange.to_id_jag(client, asked, now=now),
}
KINDS = {ACCESS_TOKEN: TokenKind.ACCESS, TXN_TOKEN: TokenKind.TXN}


def handle(call: Call) -> HttpResponse:
    """Answer with a token that stands below the subject token, or with why there is none."""
    kind, wanted = call.value("subject_token_type"), call.value("requested_token_type") or ACCESS_TOKEN
    try:
        verb = VERBS.get((kind or "", wanted))
        if verb is None:
            raise InvalidRequest("This kind of subject token is not exchanged for that kind of token.")
        body = verb(call.client, _asked(call, KINDS.get(kind or "", TokenKind.ACCESS)), call.now)
    except AimsError:
        call.resource = loggable(call.values("resource") + call.values("audience"))
        raise
    return answer(body | {"issued_token_type": wanted})


def _asked(call: Call, kind: TokenKind) -> exchange.Asked:
    subject_token = call.value("subject_token")
    if subject_token is None:
        raise InvalidRequest("subject_token is missing.")
    # ID-JAG: audience is the server, resource is something behind it; elsewhere both name the target.
    is_assertion = call.value("requested_token_type") == ID_JAG
    named, further = call.values("audience"), call.values("resource")
    return exchange.Asked(
        subject_token=subject_token,
        kind=kind,
        actor_token=_actor_token(call),
        resources=named if is_assertion else further + named,
        further=further if is_assertion else (),
        scope=call.value("scope"),
        details=call.value("authorization_details"),
        request_details=call.value("request_details"),
        request_context=call.value("request_context"),
    )


def _actor_token(call: Call) -> str | None:
    """RFC 8693 §2.1: the type is required with an actor token, and forbidden without."""
    actor_token, kind = call.value("actor_token"), call.value("actor_token_type")
    if (actor_token is None) != (kind is None):
        raise InvalidRequest("actor_token and actor_token_type go together.")
    if kind not in (None, ACCESS_TOKEN):
        raise InvalidRequest("actor_token_type must be that of an access token.")
    return actor_token
