"""The pages of exports: list, a new one, one of them, its bundle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import read
from audit.access import readers_only, scope_of
from audit.errors import LogError
from audit.exports import queries, services
from audit.exports.errors import ExportError, NoSuchExport
from audit.exports.forms import ExportForm
from audit.exports.models import Export
from audit.exports.queries import Preview
from audit.exports.sending import bundle_response
from audit.exports.services import Wanted
from audit.search.errors import QueryError

SHOWN_MAX = 100
Labels = Callable[[Collection[str]], Mapping[str, str]]
View = Callable[..., HttpResponseBase]


def for_readers(view: View) -> View:
    """Return a page that only readers of the log see, to whom what they may not see does not exist."""

    @wraps(view)
    def page(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, **kwargs)
        except NoSuchExport as error:
            raise Http404 from error

    return readers_only(page)  # type: ignore[arg-type]


@for_readers
@require_safe
def list_view(request: HttpRequest, *, labels: Labels) -> HttpResponse:
    """Show the newest exports; asked by htmx, only their rows."""
    rows = list(queries.visible_to(_ref(request), scope_of(request.user))[:SHOWN_MAX])
    names = labels({row.asked_by for row in rows})
    shown = {
        "exports": [{"row": row, "by": names.get(row.asked_by, row.asked_by)} for row in rows],
        "is_moving": any(row.is_open for row in rows),
        "may_feed": cast(Any, request.user).has_role("admin"),
    }
    if request.headers.get("HX-Request"):
        return _part(request, "audit/exports/rows.html", shown, is_moving=bool(shown["is_moving"]))
    return render(request, "audit/exports/list.html", shown)


@for_readers
@require_http_methods(["GET", "HEAD", "POST"])
def new_view(request: HttpRequest) -> HttpResponse:
    """Ask what to take: GET shows how much it would be, POST asks for it."""
    is_asked = request.method == "POST"
    form = ExportForm(request.POST if is_asked else request.GET or None)
    preview: Preview | None = None
    if form.is_bound and form.is_valid():
        try:
            if is_asked:
                return redirect("audit:export", ref=_asked(request, form).ref)
            preview = _preview(request, form)
        except QueryError as error:
            form.add_error("query", error.message)
        except ExportError as error:
            form.add_error(None, told(error))
    shown = {"form": form, "preview": preview, "size": read.size()}
    return render(request, "audit/exports/new.html", shown)


@for_readers
@require_safe
def export_view(request: HttpRequest, *, ref: str, labels: Labels) -> HttpResponse:
    """Show one export: how far it is, what it holds, how to check it."""
    row = _row(request, ref)
    shown = {"row": row, "facts": _facts(row, labels), "vkeys": _vkeys(row)}
    if request.headers.get("HX-Request"):
        return _part(request, "audit/exports/progress.html", shown, is_moving=row.is_open)
    return render(request, "audit/exports/export.html", shown)


@for_readers
@require_safe
def bundle_view(request: HttpRequest, *, ref: str) -> HttpResponseBase:
    """Answer the bundle; taking it is recorded."""
    row = _row(request, ref)
    if row.state != "ready":
        raise NoSuchExport(ref)
    response = bundle_response(request, row)
    if request.method == "GET":
        services.note_download(row, by=_ref(request))
    return response


@for_readers
@require_safe
def verify_view(request: HttpRequest) -> HttpResponse:
    """Show the page that checks an export in the browser; the file never leaves it."""
    return render(request, "audit/exports/verify.html", {"vkey": _vkey()})


@for_readers
@require_POST
def end_view(request: HttpRequest, *, ref: str) -> HttpResponse:
    """Cancel what waits or runs; delete what is ready."""
    row = _row(request, ref)
    (services.cancel if row.is_open else services.delete)(row.ref, by=_ref(request))
    return redirect("audit:exports")


def _part(request: HttpRequest, template: str, shown: dict[str, Any], *, is_moving: bool) -> HttpResponse:
    """Return a part that refreshes itself; once nothing moves, the whole page instead."""
    response = render(request, template, shown)
    if not is_moving:
        response["HX-Refresh"] = "true"
    return response


def _asked(request: HttpRequest, form: ExportForm) -> Export:
    query, first, end = _range(form)
    return services.ask(
        kind="filter" if query else "range",
        title=_("Entries that fit a search") if query else _("Entries of a range"),
        sets=[Wanted(name="entries", query=query, first=first, end=end)],
        formats=["jsonl", *form.cleaned_data["formats"]],
        scope=scope_of(request.user),
        by=_ref(request),
        now=datetime.now(UTC),
    )


def _preview(request: HttpRequest, form: ExportForm) -> Preview:
    query, first, end = _range(form)
    return queries.preview(query, first, end, scope=scope_of(request.user), now=datetime.now(UTC))


def _range(form: ExportForm) -> tuple[str, int, int | None]:
    said = form.cleaned_data
    return said["query"].strip(), said["first"] or 0, None if said["last"] is None else said["last"] + 1


def told(error: ExportError) -> str:
    """Return why there is no export, in a person's words."""
    words = {
        "too_many_exports": _("You have as many exports waiting as one person may. Wait for one, or cancel it."),
        "range_refused": _("The log has no such range: its newest entry is %(last)s.") % {"last": read.size() - 1},
    }
    return words.get(error.code, str(error))


def _row(request: HttpRequest, ref: str) -> Export:
    return queries.export(ref, ref=_ref(request), scope=scope_of(request.user))


def _ref(request: HttpRequest) -> str:
    return str(getattr(request.user, "ref", "unknown"))


def _vkeys(row: Export) -> list[str]:
    parts = [part for each in (row.manifest or {}).get("sets", []) for part in each["parts"]]
    return sorted({part["vkey"] for part in parts})


def _vkey() -> str:
    try:
        return read.vkey()
    except LogError:
        return ""


def _facts(row: Export, labels: Labels) -> list[dict[str, Any]]:
    manifest = row.manifest or {}
    said: list[dict[str, Any]] = [
        {"label": _("Asked by"), "value": labels({row.asked_by}).get(row.asked_by, row.asked_by)},
        *_about(row, labels),
        *(_set_fact(each) for each in row.sets),
        {"label": _("Formats"), "value": ", ".join(row.formats)},
    ]
    if row.state in ("ready", "expired") and manifest:
        said += [
            {"label": _("Entries"), "value": f"{row.rows:,}", "kind": "number"},
            {"label": _("Completeness"), "value": _completeness(manifest)},
            {
                "label": _("The log then"),
                "value": f"{manifest['snapshot']:,}",
                "kind": "number",
                "sub": manifest["strength"],
            },
            {"label": _("Size"), "value": f"{row.size_bytes:,} bytes", "kind": "number"},
            {"label": _("SHA-256 of the bundle"), "value": row.bundle_hash, "kind": "mono"},
        ]
    return said


def _about(row: Export, labels: Labels) -> list[dict[str, Any]]:
    if not row.about:
        return []
    ref = row.about["ref"]
    name = labels({ref}).get(ref)
    return [
        {"label": _("About"), "value": name, "sub": ref}
        if name
        else {"label": _("About"), "value": ref, "kind": "mono"}
    ]


def _set_fact(each: Mapping[str, Any]) -> dict[str, Any]:
    end = _("now") if each["end"] is None else f"{each['end'] - 1}"
    chosen = {"story": _("Story"), "evidence": _("Named entries")}.get(each.get("chosen", ""))
    label = chosen or (_("Search") if each["query"] else _("Range"))
    reach = _("entries %(first)s to %(end)s") % {"first": each["first"], "end": end}
    return {"label": label, "value": each["query"] or reach, "sub": reach if each["query"] else ""}


def _completeness(manifest: Mapping[str, Any]) -> str:
    if any(each["gaps"] for each in manifest["sets"]):
        return _("Some places of the range can't be proven")
    if all(each["completeness"] == "proven" for each in manifest["sets"]):
        return _("Proven: every entry of the range, none left out")
    if any(each["completeness"] == "proven" for each in manifest["sets"]):
        return _("Each entry is proven; of the range also that none was left out")
    return _("Each entry is proven; that the search left none out is not")
