"""Who may read the log: auditors and admins. People are duck-typed, since this room knows no other."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

Page = Callable[..., HttpResponse]
ROLES = ("auditor", "admin")


def may_read(person: Any) -> bool:
    """Return whether a person may read the log now."""
    return bool(getattr(person, "is_authenticated", False)) and any(map(person.has_role, ROLES))


def readers_only(view: Page) -> Page:
    """Send strangers to sign in, and refuse people without the right."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not may_read(request.user):
            raise PermissionDenied(_("Only auditors and admins read the audit log. Ask an admin for the role."))
        return view(request, **kwargs)

    return guarded
