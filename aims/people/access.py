"""Who may enter a page. Decorators for views; they redirect the stranger and answer 403 to the wrong role."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect

from aims.kit import clock
from aims.people import services
from aims.people.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def person_of(request: HttpRequest) -> User:
    """Return the person of a request behind one of the decorators below."""
    return cast(User, request.user)


def signed_in(view: View[P]) -> View[P]:
    """Let people in; send everybody else to sign in, and back afterwards."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path()})}")
        services.seen(request.session.session_key, now=clock.now())
        return view(request, *args, **kwargs)

    return guarded


def requires_role(*roles: str) -> Callable[[View[P]], View[P]]:
    """Let people in who hold one of the roles now; 403 for other people."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not any(person_of(request).has_role(role) for role in roles):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return signed_in(guarded)

    return decorate
