"""How the pages of this room say that something went wrong, and where a request came from."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from aims.kit.errors import AimsError

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def as_json(view: View[P]) -> View[P]:
    """Answer the element of a page: expected trouble becomes its status and a text that it may show."""

    @wraps(view)
    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            answer = view(request, *args, **kwargs)
        except AimsError as error:
            answer = JsonResponse({"code": error.code, "text": _(error.public)}, status=error.status)
        answer["Cache-Control"] = "no-store"
        return answer

    return answered


def as_page(view: View[P]) -> View[P]:
    """Answer a person: expected trouble becomes a page with its status that says what, why, and what now."""

    @wraps(view)
    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except AimsError as error:
            return trouble(request, error)

    return answered


def trouble(request: HttpRequest, error: AimsError) -> HttpResponse:
    """Return the page that explains an expected error."""
    return render(request, "people/trouble.html", {"text": _(error.public)}, status=error.status)


def done(request: HttpRequest, text: str, href: str) -> HttpResponseRedirect:
    """Go on, and say what has been done."""
    messages.success(request, text)
    return HttpResponseRedirect(href)
