"""Pages over personal values: one is shown to who says why, and entries are found by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from audit import read
from audit.access import EVERYTHING, readers_only
from audit.errors import LogError, NoSuchEntry
from audit.keeping import showing
from audit.keeping.errors import KeysUnavailable, NoSuchValue, PersonalError
from audit.keeping.forms import FIELDS, FindForm, RevealForm
from audit.keeping.personal import Opened
from audit.views import Labels, rows_of


def reveal_view(request: HttpRequest, index: int) -> HttpResponse:
    """Show one personal value of an entry with its salt, or answer it as a disclosure; the log says who and why."""
    form = RevealForm(request.POST)
    if not form.is_valid():
        return _shown(request, index, trouble=_("Say why you need it."), status=422)
    field, reason = form.cleaned_data["field"], form.cleaned_data["reason"]
    try:
        opened = showing.reveal(index, field, reason=reason, by=request.user.ref)  # type: ignore[union-attr]
    except NoSuchEntry as error:
        raise Http404 from error
    except PersonalError as error:
        return _shown(
            request, index, trouble=_trouble(error), status=503 if isinstance(error, KeysUnavailable) else 410
        )
    told = showing.disclosure(index, opened)
    if form.cleaned_data["form"] == "json":
        name = f'attachment; filename="entry-{index}-{opened.field}.disclosure.json"'
        return JsonResponse(told, headers={"Content-Disposition": name}, json_dumps_params={"indent": 2})
    return _shown(request, index, opened=opened, told=told, reason=reason)


def find_view(request: HttpRequest, *, labels: Labels) -> HttpResponse:
    """Find entries by a personal value."""
    form = FindForm(request.POST if request.method == "POST" else None)
    shown: dict[str, Any] = {"form": form, "is_asked": False, "rows": []}
    if form.is_valid():
        asked = form.cleaned_data
        found = showing.find(asked["field"], asked["value"], by=request.user.ref)  # type: ignore[union-attr]
        shown |= {"is_asked": True, "rows": rows_of(found, labels)}
    return render(request, "audit/find.html", shown, status=422 if form.errors else 200)


def revealing(view: Callable[..., HttpResponse], **extra: Any) -> Callable[..., HttpResponse]:
    """Return a page that only admins and auditors of the whole log see, and that nothing keeps a copy of."""

    def page(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not showing.may_reveal(request.user):
            raise PermissionDenied(_("Personal values are shown to admins and to auditors of the whole log."))
        return view(request, **kwargs, **extra)

    return sensitive_post_parameters("value")(never_cache(readers_only(page)))


def posted(view: Callable[..., HttpResponse], **extra: Any) -> Callable[..., HttpResponse]:
    """Return such a page that is only posted to: what it shows is asked for, never linked to."""
    return require_POST(revealing(view, **extra))


def asked(view: Callable[..., HttpResponse], **extra: Any) -> Callable[..., HttpResponse]:
    """Return such a page with a form on it."""
    return require_http_methods(["GET", "HEAD", "POST"])(revealing(view, **extra))


def _shown(
    request: HttpRequest,
    index: int,
    *,
    trouble: str = "",
    opened: Opened | None = None,
    told: dict[str, Any] | None = None,
    reason: str = "",
    status: int = 200,
) -> HttpResponse:
    try:
        entry = read.entry(index, scope=EVERYTHING)
    except LogError as error:
        raise Http404 from error
    shown = {"entry": entry, "trouble": trouble, "opened": opened, "told": told, "reason": reason}
    shown["label"] = FIELDS.get(opened.field, opened.field) if opened else ""
    return render(request, "audit/personal.html", shown, status=status)


def _trouble(error: PersonalError) -> str:
    if isinstance(error, KeysUnavailable):
        return _("Not available now: the store of people's keys does not answer. Try again later.")
    if isinstance(error, NoSuchValue):
        return _("This value is not kept any more: its person was erased, or it went by retention.")
    return _(
        "The stored value does not open, or is not what the entry commits to. Tell the operator: somebody changed it."
    )
