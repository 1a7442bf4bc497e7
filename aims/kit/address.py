"""From which address a request came, for limits and for counting: never for trust, and never for authentication."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest

HEADER = "X-Forwarded-For"


def address_of(request: HttpRequest) -> str:
    """Return the caller's address; empty where the server names none, as on a socket file.

    Behind a proxy (``AIMS_BEHIND_PROXY``) it is the last entry of ``X-Forwarded-For``: our own proxy has written that one,
    all before it anybody can. Where that is no address, or the header is missing, everybody behind the proxy counts as one.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.SECURE_PROXY_SSL_HEADER:
        return peer
    written = request.headers.get(HEADER, "").rpartition(",")[2].strip()
    try:
        return str(ip_address(written))
    except ValueError:
        return peer
