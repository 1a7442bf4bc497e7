"""Token introspection. Spec: RFC 7662; signed answers: RFC 9701."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from aims.authorization.endpoints.token_exchange import TXN_TOKEN
from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call, Endpoint, answer, endpoint
from aims.authorization.services import introspection, txn_introspection
from aims.credentials import signing
from aims.credentials.models import KeyPurpose

TYP = "token-introspection+jwt"
_NOTHING = re.compile(r"q=0(\.0{0,3})?")


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
            return _answered(call, known)
    return _answered(call, introspection.introspect(call.client, token, now=call.now))


def _answered(call: Call, told: dict[str, Any]) -> HttpResponse:
    """Answer as JSON, or as a JWT for this resource server where it asks for one. Spec: RFC 9701 §4, §5."""
    if not _wants_jwt(call.request.headers.get("Accept", "")):
        return answer(told)
    # §5: neither sub nor exp stand outside, so that nobody can take the answer for a token.
    claims = {
        "iss": settings.ISSUER,
        "aud": call.client.identifier,
        "iat": int(call.now.timestamp()),
        "token_introspection": told,
    }
    signed = signing.current(KeyPurpose.INTROSPECTION).sign(claims, TYP)
    return HttpResponse(signed, content_type=f"application/{TYP}")


def _wants_jwt(accept: str) -> bool:
    """Return whether the media type of signed answers is named, and not with weight 0. Spec: RFC 9110 §12.5.1."""
    for wanted in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in wanted.split(";"))
        if kind == f"application/{TYP}":
            return not any(_NOTHING.fullmatch(part) for part in parameters)
    return False
