"""Operations: is the process alive, can it work, what does it count. These say nothing about anybody."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from aims.authorization.services import gathering
from audit import read

LOG_TROUBLE = Gauge("aims_audit_log_trouble", "1 while the audit log is not signed or does not verify; readyz says why")
LOOPBACK = frozenset({"127.0.0.1", "::1"})
# A proxy on the same machine also connects from loopback; what it forwards came from elsewhere.
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_VIA")


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer while the process can answer at all."""
    return _no_store(HttpResponse("ok\n", content_type="text/plain"))


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database answers and takes tokens, else 503: the balancer then sends the work elsewhere.

    log: ``signed``, or why it is not (audit.read.trouble). It does not make the process unready: events wait safely.
    """
    try:
        trouble = read.trouble()
    except DatabaseError:
        return _no_store(JsonResponse({"database": "does not answer"}, status=503))
    if not gathering.is_ready():
        return _no_store(JsonResponse({"database": "takes no tokens"}, status=503))
    return _no_store(JsonResponse({"database": "answers", "log": trouble or "signed"}))


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the process's counters to this machine itself, or to whoever holds ``AIMS_METRICS_TOKEN``."""
    if not (_has_token(request) or _is_local(request)):
        return _no_store(HttpResponse("metrics are for this machine, or with AIMS_METRICS_TOKEN\n", status=403))
    LOG_TROUBLE.set(1 if read.trouble() else 0)
    return _no_store(HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST))


def _has_token(request: HttpRequest) -> bool:
    expected = f"Bearer {settings.METRICS_TOKEN}".encode()
    given = request.headers.get("Authorization", "").encode()
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given, expected)


def _is_local(request: HttpRequest) -> bool:
    is_forwarded = any(name in request.META for name in FORWARDED)
    return request.META.get("REMOTE_ADDR") in LOOPBACK and not is_forwarded


def _no_store(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
