"""Who signed in, for the client they signed in to. Spec: OpenID Connect Core 1.0 §5.3, RFC 6750 §3, RFC 9449 §7."""

from __future__ import annotations

import logging
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from aims.authorization.endpoints.challenges import challenges, note, status_of
from aims.authorization.errors import MethodNotAllowed, ServerError
from aims.authorization.identity import OPENID
from aims.authorization.pipeline import answer, error_response, with_nonce
from aims.authorization.presenting import NoToken, presented
from aims.authorization.services.userinfo import userinfo as look_up
from aims.kit import clock
from aims.kit.errors import AimsError

log = logging.getLogger(__name__)


@csrf_exempt
def userinfo(request: HttpRequest) -> HttpResponse:
    """Answer with what the access token in the header opens. It knows no cookie, so CSRF does not apply."""
    now = clock.now()
    try:
        response = _answered(request, now=now)
    except AimsError as error:
        response = _refused(request, error)
    except Exception:
        log.exception("userinfo failed")
        response = error_response(ServerError())
    response["Cache-Control"] = "no-store"
    return with_nonce(request, response, now=now)


def _answered(request: HttpRequest, *, now: datetime) -> HttpResponse:
    if request.method not in ("GET", "POST"):
        raise MethodNotAllowed("Use GET or POST.")
    return answer(look_up(presented(request, now=now), now=now))


def _refused(request: HttpRequest, error: AimsError) -> HttpResponse:
    response = error_response(error)
    if error.status == 405:
        response["Allow"] = "GET, POST"
        return response
    note(request, error)
    response.status_code = status_of(error)
    response["WWW-Authenticate"] = challenges(request, error, scope=OPENID if error.status == 403 else "")
    if isinstance(error, NoToken):
        response.content = b""
    return response
