"""Who signed in, for the client they signed in to. Spec: OpenID Connect Core 1.0 §5.3, RFC 6750 §2.1, §3, RFC 9449 §7."""

from __future__ import annotations

import logging
import re
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from aims.authentication import dpop
from aims.authentication.errors import DpopForgotten, InvalidDpopProof, UseDpopNonce
from aims.authentication.replay import begin
from aims.authorization.errors import InvalidToken, MethodNotAllowed, OAuthError, ServerError
from aims.authorization.pipeline import NONCE_HEADER, answer, described, error_response
from aims.authorization.services.userinfo import userinfo as look_up
from aims.kit import clock
from aims.kit.errors import AimsError
from audit.write import count_failure

log = logging.getLogger(__name__)
_CREDENTIALS = re.compile(r"(?i:(Bearer|DPoP)) ([A-Za-z0-9._~+/-]+=*)")  # RFC 6750 §2.1, RFC 9449 §7.1


class NoToken(OAuthError):
    """RFC 6750 §3.1: who sends no credentials is told how, and no error."""

    status = 401


@csrf_exempt
def userinfo(request: HttpRequest) -> HttpResponse:
    """Answer with what the access token in the header opens. It knows no cookie, so CSRF does not apply."""
    try:
        response = _answered(request, now=clock.now())
    except AimsError as error:
        response = _refused(request, error)
    except Exception:
        log.exception("userinfo failed")
        response = error_response(ServerError())
    response["Cache-Control"] = "no-store"
    return response


def _answered(request: HttpRequest, *, now: datetime) -> HttpResponse:
    if request.method not in ("GET", "POST"):
        raise MethodNotAllowed("Use GET or POST.")
    sent = request.headers.get("Authorization")
    if sent is None:  # RFC 9700 §4.3.2: a token in the query or the body is not looked for
        raise NoToken
    found = _CREDENTIALS.fullmatch(sent)
    if found is None:
        raise InvalidToken
    scheme, token = found.groups()
    key = None
    if scheme.lower() == "dpop":
        key = dpop.read_key(
            request.headers,
            method=str(request.method),
            path=request.path,
            client=None,
            access_token=token,
            now=now,
        )
        if key is None:
            raise InvalidDpopProof("A token bound to a key comes with a proof of it.", reason="missing")
    return answer(look_up(token, key=key, now=now))


def _refused(request: HttpRequest, error: AimsError) -> HttpResponse:
    if isinstance(error, DpopForgotten):
        begin()
    if error.status == 405:
        response = error_response(error)
        response["Allow"] = "GET, POST"
        return response
    response = error_response(error)
    if isinstance(error, InvalidDpopProof | UseDpopNonce):
        response.status_code = 401  # RFC 9449 §7.1: at a resource, and so is userinfo
    if response.status_code == 401 and not isinstance(error, NoToken | UseDpopNonce):
        count_failure(str(request.META.get("REMOTE_ADDR", "")), error.code)
    response["WWW-Authenticate"] = ", ".join(_challenges(request, error))
    if isinstance(error, UseDpopNonce):
        response[NONCE_HEADER] = error.nonce
    if isinstance(error, NoToken):
        response.content = b""
    return response


def _challenges(request: HttpRequest, error: AimsError) -> list[str]:
    """Both schemes, and the error with the one that was tried. Spec: RFC 6750 §3, RFC 9449 §7.1."""
    algorithms = " ".join(sorted(dpop.ALGORITHMS))
    tried = request.headers.get("Authorization", "").partition(" ")[0].lower()
    said = (
        "" if isinstance(error, NoToken) else f', error="{error.code}", error_description="{described(error.public)}"'
    )
    scope = ', scope="openid"' if error.status == 403 else ""
    bearer = f'Bearer realm="{settings.ISSUER}"' + (scope + said if tried != "dpop" else "")
    bound = f'DPoP algs="{algorithms}"' + (scope + said if tried == "dpop" else "")
    return [bound, bearer] if tried == "dpop" else [bearer, bound]
