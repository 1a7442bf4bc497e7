"""Clients register themselves, and manage what they registered. Spec: RFC 7591 §3, RFC 7592 §2."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from aims.authorization.client_errors import RegistrationTokenRefused
from aims.authorization.client_metadata import MetadataRefused
from aims.authorization.client_models import ClientRegistration
from aims.authorization.errors import InvalidRequest, MethodNotAllowed, ServerError, UnauthorizedClient
from aims.authorization.pipeline import answer, error_response
from aims.authorization.services import registrations
from aims.kit import clock
from aims.kit.address import address_of
from aims.kit.errors import AimsError
from audit.canonical import CanonicalError, decode
from audit.write import count_failure

log = logging.getLogger(__name__)
BODY_MAX_BYTES = 16 * 1024
DEPTH_MAX = 8
PATH = "/oauth/register"
_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
# RFC 7592 §2.2: a client sends none of these back.
NOT_SENT = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")

Handler = Callable[..., HttpResponse]


def machine(handler: Handler) -> Handler:
    """Return a view of a handler: no cookie is looked at, errors are JSON, nothing is kept on the way."""

    @csrf_exempt
    def view(request: HttpRequest, **path: str) -> HttpResponse:
        response = _run(handler, request, path)
        response["Cache-Control"] = "no-store"  # RFC 7591 §3.2.1
        response["Pragma"] = "no-cache"
        return response

    return view


@machine
def register(request: HttpRequest) -> HttpResponse:
    """Register a client, which then waits until it is admitted. RFC 7591 §3: open to everybody, so limited."""
    if not settings.REGISTRATION:
        raise _status(UnauthorizedClient("Clients don't register themselves here."), 404)
    if request.method != "POST":
        raise MethodNotAllowed
    document = _body(request)
    made = registrations.register(document, address=address_of(request), now=clock.now())
    return _shown(made.registration, made.token, status=201)


@machine
def registration(request: HttpRequest, ref: str) -> HttpResponse:
    """Read, replace or end a registration. RFC 7592 §2: the token first, whatever the method."""
    token = _token(request)
    row = registrations.held_with(ref, token)
    match request.method:
        case "GET":
            return _shown(row, token)
        case "PUT":
            document = _replacing(_body(request), row)
            return _shown(registrations.replace(row, document, now=clock.now()), token)
        case "DELETE":
            registrations.withdraw(row, now=clock.now())
            return HttpResponse(status=204)
    raise MethodNotAllowed("Use GET, PUT or DELETE.")


def _run(handler: Handler, request: HttpRequest, path: Mapping[str, str]) -> HttpResponse:
    try:
        return handler(request, **path)
    except AimsError as error:
        count_failure(address_of(request), error.code)
        response = error_response(error)
        if error.status == 405:
            response["Allow"] = "GET, PUT, DELETE" if path else "POST"
        if error.status == 401:  # RFC 6750 §3
            response["WWW-Authenticate"] = f'Bearer realm="{settings.ISSUER}", error="{error.code}"'
        return response
    except Exception:
        log.exception("registration failed")
        return error_response(ServerError())


def _body(request: HttpRequest) -> object:
    """Return the JSON of a request. Raises InvalidRequest, MetadataRefused."""
    if (request.content_type or "").lower() != "application/json":
        raise _status(InvalidRequest("Send the body as application/json."), 415)
    if int(request.META.get("CONTENT_LENGTH") or 0) > BODY_MAX_BYTES or len(request.body) > BODY_MAX_BYTES:
        raise _status(InvalidRequest(f"The body is larger than {BODY_MAX_BYTES // 1024} KiB."), 413)
    try:
        return decode(request.body, max_depth=DEPTH_MAX)
    except CanonicalError as error:
        raise MetadataRefused(f"The body is not strict JSON: {error}.") from error


def _status(error: AimsError, status: int) -> AimsError:
    error.status = status
    return error


def _replacing(document: object, row: ClientRegistration) -> object:
    """Return the new metadata of a client. RFC 7592 §2.2: it names itself, and sends nothing that we issue."""
    if not isinstance(document, dict) or document.get("client_id") != row.client_id:
        raise MetadataRefused("client_id must be that of this client.")
    if sent := [name for name in (*NOT_SENT, "client_secret") if name in document]:
        raise MetadataRefused(f"{sent[0]} must not be sent.")
    return document


def _token(request: HttpRequest) -> str:
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise RegistrationTokenRefused
    return found[1]


def _shown(row: ClientRegistration, token: str, *, status: int = 200) -> HttpResponse:
    """Return what is registered. Spec: RFC 7591 §3.2.1, RFC 7592 §3; of the token we keep only a hash."""
    body: dict[str, Any] = {
        **row.metadata,
        "client_id": row.client_id,
        "client_id_issued_at": int(row.registered_at.timestamp()),
        "registration_access_token": token,
        "registration_client_uri": f"{settings.ISSUER}{PATH}/{row.ref}",
    }
    return answer(body, status)
