"""Every error of the management API as a problem document with a stable code. Spec: RFC 9457."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from aims.authentication.errors import UseDpopNonce
from aims.authorization.errors import InsufficientScope
from aims.authorization.pipeline import NONCE_HEADER
from aims.console.api.auth import Caller, Rejected, challenge, refused, scopes_of
from aims.kit.errors import AimsError

MEDIA_TYPE = "application/problem+json"
TEXTS = {
    400: ("invalid", "A member is missing, unknown or not what it should be: see errors."),
    401: ("invalid_token", "Send an access token for this API that is still good."),
    403: ("insufficient_scope", "This token has no scope for this."),
    404: ("not_found", "There is nothing here, or nothing that you may see."),
    405: ("method_not_allowed", "This address does not know the method."),
    406: ("not_acceptable", "Answers are application/json."),
    409: ("conflict", "Somebody else did this at the same moment. Read again, then decide."),
    412: ("precondition_failed", "Somebody else changed this since you read it. Read it again, then decide."),
    415: ("unsupported_media_type", "Send the body as application/json."),
}


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the problem document of expected trouble; None for what is a fault of ours."""
    if isinstance(error, AimsError):
        return _of_room(error, context)
    if isinstance(error, Rejected):
        return _rejected(error.cause, context)
    if isinstance(error, exceptions.ValidationError):
        return problem(400, *TEXTS[400], errors=list(_places(error.detail, "")))
    if isinstance(error, exceptions.ParseError):
        return problem(400, "invalid_json", "The body can't be read.")
    status = _status(error)
    if status is None:
        return None
    return problem(status, *TEXTS[status], headers=_headers(error, status, context))


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem document. errors: JSON pointers into the body, each with what is wrong there."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def _rejected(cause: AimsError, context: Mapping[str, Any]) -> Response:
    headers = {"WWW-Authenticate": challenge(context["request"], cause)}
    if isinstance(cause, UseDpopNonce):
        headers[NONCE_HEADER] = cause.nonce
    return problem(401, cause.code, str(cause.public), headers=headers)


def _of_room(error: AimsError, context: Mapping[str, Any]) -> Response:
    request = context["request"]
    if error.status == 403 and isinstance(request.auth, Caller):
        refused(request, request.auth, code=error.code)
    return problem(error.status, error.code, str(error.public))


def _status(error: Exception) -> int | None:
    if isinstance(error, Http404):
        return 404
    if isinstance(error, PermissionDenied):
        return 403
    if isinstance(error, IntegrityError):
        return 409  # the database decided between two that came at once
    return error.status_code if isinstance(error, exceptions.APIException) and error.status_code in TEXTS else None


def _headers(error: Exception, status: int, context: Mapping[str, Any]) -> dict[str, str]:
    view = context["view"]
    if status == 401:
        return {"WWW-Authenticate": str(getattr(error, "auth_header", ""))}
    if status == 403:
        # RFC 6750 §3.1: name the scope that would do.
        names = " ".join(sorted(scopes_of(view, context["request"].method)))
        return {"WWW-Authenticate": challenge(context["request"], InsufficientScope(), scope=names)}
    return {"Allow": ", ".join(view.allowed_methods)} if status == 405 else {}


def _places(detail: Any, pointer: str) -> Iterator[dict[str, str]]:
    """Walk the errors of nested serializers as JSON pointers. Spec: RFC 6901 §3."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from _places(inner, pointer + step)
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            yield from _places(inner, pointer if isinstance(inner, str) else f"{pointer}/{number}")
    else:
        yield {"pointer": pointer, "detail": str(detail)}
