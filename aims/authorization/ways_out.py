"""How a browser leaves the authorization endpoint, and what keeps it here.

After a form the answer leaves by a page in between (``leave``): Chromium holds ``form-action`` against every redirect that
follows a form, and a client may redirect on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from aims.authorization.authorize_errors import NotHere, RequestUnreadable
from aims.authorization.known_clients import KnownClient
from aims.kit.forms import FormRefused

View = Callable[..., HttpResponseBase]


def page(view: View) -> View:
    """Show what keeps a browser here as a page; no cache keeps it, and no other site hears of it as referrer."""

    @wraps(view)
    def shown(request: HttpRequest, /, *args: str, **kwargs: str) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
        except NotHere as error:
            response = _trouble(request, error)
        except FormRefused as error:
            response = _trouble(request, RequestUnreadable(detail=error.public))
        response["Cache-Control"] = "no-store"
        # Not no-referrer: with it Chromium sends its forms with "Origin: null", which the check of origins refuses.
        response["Referrer-Policy"] = "same-origin"
        return response

    return shown


def leave(request: HttpRequest, known: KnownClient, uri: str) -> HttpResponse:
    """Send the browser away by a page of our own, which no form's policy follows."""
    agent = known.application.agent if known.application else None
    response = render(request, "authorization/leaving.html", {"agent": agent, "uri": uri})
    response["Refresh"] = f"0; url={uri}"
    return response


def see_other(uri: str) -> HttpResponse:
    """RFC 9700 §4.12: 303, so that no browser sends a form on. Django's own redirect refuses the scheme of an app."""
    response = HttpResponse(status=303)
    response["Location"] = uri
    return response


def _trouble(request: HttpRequest, error: NotHere) -> HttpResponse:
    return render(request, "authorization/trouble.html", {"text": error.public, "why": error.why}, status=error.status)
