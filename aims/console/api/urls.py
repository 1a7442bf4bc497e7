"""Every address of the management API. What has no line here answers 404."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.routers import SimpleRouter

from aims.authorization.pipeline import with_nonce
from aims.compliance import api as compliance
from aims.console import reporting
from aims.console.api import agents, authority, clients, grants, registry, trust
from aims.console.api.problems import MEDIA_TYPE, TEXTS
from aims.kit import clock
from aims.observability import api as observability
from aims.people import api as people
from audit import api as audit

PREFIX = "api/v1/"
ROUTES: list[tuple[str, Any, str]] = [
    ("agents", agents.AgentViewSet, "agent"),
    ("client-registrations", clients.RegistrationViewSet, "client-registration"),
    ("trust-rules", clients.TrustRuleViewSet, "trust-rule"),
    ("resources", registry.ResourceViewSet, "resource"),
    ("trust-domains", registry.TrustDomainViewSet, "trust-domain"),
    ("trusted-servers", trust.ForeignServerViewSet, "trusted-server"),
    ("policies", authority.PolicyViewSet, "policy"),
    ("grants", grants.GrantViewSet, "grant"),
    ("chains", grants.ChainViewSet, "chain"),
    ("approval-requests", authority.RequestViewSet, "approval-request"),
    *people.routes,
    *observability.routes,
    *audit.routes,
    *audit.schedules(reporting.READERS),
    *compliance.routes,
]
View = Callable[..., HttpResponse]


@csrf_exempt
def nothing_here(request: HttpRequest) -> HttpResponse:
    """Answer 404 as a problem document: a machine gets no page."""
    code, detail = TEXTS[404]
    body = {"type": "about:blank", "title": "Not Found", "status": 404, "code": code, "detail": detail}
    return JsonResponse(body, status=404, content_type=MEDIA_TYPE)


def uncached(view: View) -> View:
    """Return the view with answers that nobody keeps, and the nonce of now."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return with_nonce(request, response, now=clock.now())

    return wrapped


def _patterns() -> list[Any]:
    router = SimpleRouter()
    for prefix, viewset, name in ROUTES:
        router.register(PREFIX + prefix, viewset, basename=f"api-{name}")
    patterns: list[Any] = router.urls
    for pattern in patterns:
        pattern.callback = uncached(pattern.callback)
    return patterns


urlpatterns = _patterns()
mounted = [*urlpatterns, re_path(rf"^{PREFIX}", uncached(nothing_here))]
