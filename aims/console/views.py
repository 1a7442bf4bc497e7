"""The start page, the patterns, the files at the root, and the pages that say what went wrong."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import redirect, render
from django.template.loader import get_template
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from aims.console import queries
from aims.console.patterns import example_context
from aims.kit import clock

STATIC_FILE_MAX_AGE_S = 3600


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what waits for me, what my agents did, and what is wrong, as far as my roles go."""
    if not request.user.is_authenticated:
        return redirect(settings.LOGIN_URL)
    return render(request, "home/home.html", {"home": queries.home_of(request.user, now=clock.now())})


@require_safe
def patterns(request: HttpRequest) -> HttpResponse:
    """Show every component in every state, while developing or to an admin."""
    if not settings.DEBUG and not (request.user.is_authenticated and request.user.has_role("admin")):
        raise Http404
    return render(request, "patterns/index.html", example_context())


@require_safe
@cache_control(max_age=STATIC_FILE_MAX_AGE_S)
def manifest(request: HttpRequest) -> FileResponse:
    """Serve the manifest of the installable app."""
    return _root_file("manifest.webmanifest", "application/manifest+json")


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> FileResponse:
    """Serve the service worker from the root, so that its scope is the whole site (it keeps static files only)."""
    return _root_file("js/sw.js", "text/javascript")


def _root_file(name: str, content_type: str) -> FileResponse:
    return FileResponse(Path(settings.BASE_DIR, "static", name).open("rb"), content_type=content_type)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 with a page."""
    return render(request, "errors/400.html", status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 with a page."""
    return render(request, "errors/403.html", status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 with a page, the same for what does not exist and for what one may not know of."""
    return render(request, "errors/404.html", status=404)


def too_many_requests(request: HttpRequest, *, retry_after_s: int) -> HttpResponse:
    """Answer 429 with a page and Retry-After."""
    answer = render(request, "errors/429.html", status=429)
    answer["Retry-After"] = str(retry_after_s)
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 with a page that asks nothing of the database, which may be what broke."""
    return HttpResponseServerError(get_template("errors/500.html").render())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is missing or stale; nothing was changed."""
    return render(request, "errors/csrf.html", status=403)
