"""What runs around a request. Machine endpoints know no session, no cookie and no nonce: the ``Page…`` classes are
Django's own, stepping aside for them, so that a token costs no cookie work and no machine answer sets a cookie.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from asgiref.sync import markcoroutinefunction
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseForbidden, HttpResponseRedirect
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.gzip import GZipMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware

MACHINE_PREFIXES = (
    "/oauth/",
    "/.well-known/",
    "/log/",
    "/api/",
    "/spiffe/",
    "/provision/",
    "/ssf/",
    "/healthz",
    "/readyz",
    "/metrics",
)
# Pages under a machine prefix: reading entries needs the right to read the log, the reader of the API is for people, and
# so is consent.
PAGE_PREFIXES = ("/log/tile/entries/", "/api/docs/", "/oauth/authorize")
COMPRESSIBLE = ("text/", "application/javascript", "image/svg+xml", "application/manifest+json")
LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1"})


def is_machine(request: HttpRequest) -> bool:
    """Return whether the path belongs to the wire and not to people."""
    return request.path_info.startswith(MACHINE_PREFIXES) and not request.path_info.startswith(PAGE_PREFIXES)


class _PageOnly(MiddlewareMixin):
    """First among the bases of a ``Page…`` class: a machine request goes straight on to the next layer."""

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request) if is_machine(request) else super().__call__(request)


class PageCompression(_PageOnly, GZipMiddleware):
    """Compresses pages. Django pads each answer at random, and the CSRF token is masked, so BREACH finds no hold."""


class PageSecurityPolicy(_PageOnly, CSPMiddleware):
    """Content-Security-Policy with a nonce for each page."""


class PageSession(_PageOnly, SessionMiddleware):
    """Sessions, for pages."""


class PageCommon(_PageOnly, CommonMiddleware):
    """Checks the host and appends slashes, for pages."""


class PageCsrf(_PageOnly, CsrfViewMiddleware):
    """CSRF protection, for pages. Machine endpoints read no cookie, so nobody can borrow one."""

    def process_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseForbidden | None:
        """Check pages only: for these, Django's own check runs apart from ``__call__``."""
        return None if is_machine(request) else super().process_view(request, *args, **kwargs)


class PageAuthentication(_PageOnly, AuthenticationMiddleware):
    """``request.user``, for pages."""

    def process_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Nothing: the rooms' own decorators say who may enter."""


class PageMessages(_PageOnly, MessageMiddleware):
    """One-time messages, for pages."""


class PagePerson(_PageOnly):
    """Speaks the person's language and shows their time."""

    def process_request(self, request: HttpRequest) -> None:
        user: Any = request.user
        if user.is_authenticated:
            translation.activate(user.locale)
            timezone.activate(ZoneInfo(user.time_zone))
        else:
            translation.activate(translation.get_language_from_request(request))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        # The thread goes on to serve others, machines among them.
        translation.deactivate()
        timezone.deactivate()
        return response


class _AtOnce(MiddlewareMixin):
    """First among the bases of a class that only looks at headers: on a loop Django would send that to a thread."""

    async def __acall__(self, request: HttpRequest) -> Any:
        asked, answered = getattr(self, "process_request", None), getattr(self, "process_response", None)
        go_on: Callable[[HttpRequest], Any] = self.get_response
        response = (asked(request) if asked else None) or await go_on(request)
        return answered(request, response) if answered else response


class Security(_AtOnce, SecurityMiddleware):
    """Django's headers, without a thread."""


class FrameOptions(_AtOnce, XFrameOptionsMiddleware):
    """X-Frame-Options, without a thread."""


class OneHost(_AtOnce):
    """Sends a person who came by a loopback address to ``localhost``: an address is no RP ID (WebAuthn L3 §4)."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if settings.ISSUER_HOST != "localhost" or is_machine(request):
            return None
        if urlsplit(f"//{request.META.get('HTTP_HOST', '')}").hostname not in LOOPBACK_ADDRESSES:
            return None
        return HttpResponseRedirect(settings.ISSUER + request.get_full_path())


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise that does not push every request behind it into a thread under ASGI."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if not iscoroutinefunction(self.get_response):
            return super().__call__(request)
        if not request.path_info.startswith(settings.STATIC_URL):
            return self.get_response(request)
        return self._serve_whole(request)

    async def _serve_whole(self, request: HttpRequest) -> HttpResponseBase:
        """Read the file at once: our files are small, and a synchronous stream would need a thread of its own."""
        found = self.find_file(request.path_info) if self.autorefresh else self.files.get(request.path_info)
        if found is None:
            return await self.get_response(request)  # type: ignore[no-any-return]
        streamed = self.serve(found, request)
        whole = HttpResponse(b"".join(streamed), status=streamed.status_code)
        del whole["Content-Type"]
        for name, value in streamed.items():
            whole[name] = value
        return _compressed(request, whole)


def _compressed(request: HttpRequest, whole: HttpResponse) -> HttpResponse:
    """Compress a text file that has no compressed twin on disk: nobody has to collect files before the first visit."""
    is_text = whole.headers.get("Content-Type", "").startswith(COMPRESSIBLE)
    if whole.status_code != 200 or not is_text or "Content-Encoding" in whole:
        return whole
    patch_vary_headers(whole, ("Accept-Encoding",))
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        whole.content = _gzipped(whole.content)
        whole["Content-Encoding"] = "gzip"
        whole["Content-Length"] = str(len(whole.content))
    return whole


@lru_cache(maxsize=256)
def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
