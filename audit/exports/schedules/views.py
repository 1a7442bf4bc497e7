"""The pages of schedules: list, a new one, one of them with its runs, changing it, and its verbs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.access import Page, readers_only, scope_of
from audit.exports.errors import ExportError
from audit.exports.forms import WORDS
from audit.exports.schedules import queries, services
from audit.exports.schedules.errors import NoSuchSchedule, ScheduleError, ScheduleMoved
from audit.exports.schedules.forms import WORDS_EVERY, ScheduleForm, shown
from audit.exports.schedules.models import Schedule, ScheduleRun
from audit.exports.schedules.readers import Readers
from audit.exports.schedules.telling import days_of
from audit.search.errors import QueryError

Labels = Callable[[Collection[str]], Mapping[str, str]]
RUNS_SHOWN = 20


def for_readers(view: Page) -> Page:
    """Return a page that only readers of the log see, to whom what they may not see does not exist."""

    @wraps(view)
    def page(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, **kwargs)
        except NoSuchSchedule as error:
            raise Http404 from error

    return readers_only(page)


@for_readers
@require_safe
def list_view(request: HttpRequest, *, labels: Labels) -> HttpResponse:
    """Show every schedule that this reader may see, and how its last run ended."""
    rows = list(queries.visible_to(_ref(request), scope_of(request.user)))
    names, last = labels({row.owner for row in rows}), queries.last_runs(rows)
    told = [
        {"row": row, "owner": names.get(row.owner, row.owner), "often": often(row), "last": last.get(row.pk)}
        for row in rows
    ]
    return render(request, "audit/exports/schedules/list.html", {"schedules": told})


@for_readers
@require_http_methods(["GET", "HEAD", "POST"])
def new_view(request: HttpRequest, *, readers: Readers) -> HttpResponse:
    """Schedule a report in one's own name."""
    me = _ref(request)
    first = {"query": request.GET.get("q", ""), "every": "week", "tells": [me]}
    first["zone"] = getattr(request.user, "time_zone", "UTC")
    form = ScheduleForm(request.POST or None, initial=first, people=readers.people(), reader=me)
    if request.method == "POST" and form.is_valid():
        try:
            row = services.set_up(form.asked(), owner=me, by=me, readers=readers, now=datetime.now(UTC))
            return redirect("audit:schedule", ref=row.ref)
        except (QueryError, ScheduleError, ExportError) as error:
            _explain(form, error)
    return render(request, "audit/exports/schedules/edit.html", {"form": form, "row": None})


@for_readers
@require_safe
def schedule_view(request: HttpRequest, *, ref: str, labels: Labels) -> HttpResponse:
    """Show one schedule, when it is due, and its last runs with their outcome."""
    row = _row(request, ref)
    runs = [{"run": run, "days": days_of(run), "why": why(run)} for run in row.runs.order_by("-until_at")[:RUNS_SHOWN]]
    may = {"may_act": _may_act(request, row), "is_own": row.owner == _ref(request)}
    told = {"row": row, "runs": runs, "facts": _facts(row, labels), **may}
    return render(request, "audit/exports/schedules/schedule.html", told)


@for_readers
@require_http_methods(["GET", "HEAD", "POST"])
def change_view(request: HttpRequest, *, ref: str, readers: Readers) -> HttpResponse:
    """Change a schedule of one's own. The form holds the version that was read: who comes second is told so."""
    row = _row(request, ref)
    if row.owner != _ref(request):
        raise PermissionDenied(_("Only its owner changes it: the report is made within what they may read."))
    form = ScheduleForm(request.POST or None, initial=shown(row), people=readers.people(), reader=row.owner)
    if request.method == "POST" and form.is_valid():
        try:
            if request.POST.get("version") != str(row.version):
                raise ScheduleMoved(ref)
            services.change(row, form.asked(), by=row.owner, readers=readers, now=datetime.now(UTC))
            return redirect("audit:schedule", ref=ref)
        except (QueryError, ScheduleError, ExportError) as error:
            _explain(form, error)
    return render(request, "audit/exports/schedules/edit.html", {"form": form, "row": row})


@for_readers
@require_POST
def verb_view(request: HttpRequest, *, ref: str, verb: str) -> HttpResponse:
    """Pause, resume or remove: the owner's and the admins' business."""
    row = _row(request, ref)
    if not _may_act(request, row):
        raise PermissionDenied(_("Only its owner and admins pause or remove a scheduled report."))
    try:
        if verb == "pause":
            services.pause(row, by=_ref(request))
        elif verb == "resume":
            services.resume(row, by=_ref(request), now=datetime.now(UTC))
        elif verb == "remove":
            services.remove(row, by=_ref(request))
        else:
            raise Http404
    except ScheduleError as error:
        messages.error(request, _told(error))
        return redirect("audit:schedules")
    return redirect("audit:schedules") if verb == "remove" else redirect("audit:schedule", ref=ref)


def often(row: Schedule) -> str:
    """Return how often a schedule comes, in words."""
    if row.weekday is None:
        return f"{WORDS_EVERY[row.every]} ({row.zone})"
    return _("Every week that begins on %(day)s (%(zone)s)") % {"day": WEEKDAYS[row.weekday], "zone": row.zone}


def why(run: ScheduleRun) -> str:
    """Return why there is no report, in words; empty where there is one, or may still be."""
    words = {
        "right_lost": _("Whoever it was made for may not read the log any more."),
        "zone_unknown": _("Its time zone is not known any more."),
        "storage": _("The bundle could not be written: the disk may be full."),
        "inconsistent": _("The entries do not lead to the signed root: the database was changed. Tell the operator."),
        "cancelled": _("Somebody cancelled the export."),
        "died": _("The workers that made it died."),
        "format_missing": _("A format is not there any more."),
    }
    return words.get(run.code, run.code)


def _explain(form: ScheduleForm, error: Exception) -> None:
    if isinstance(error, QueryError):
        form.add_error("kept" if form.cleaned_data["kept"] else "query", error.message)
    else:
        form.add_error(None, _told(error))


def _told(error: Exception) -> str:
    words = {
        "too_many_schedules": _("There are as many scheduled reports as there may be. Remove one first."),
        "schedule_moved": _("Somebody else changed it meanwhile. Look at it again, then decide."),
        "zone_refused": _("Its time zone is not known."),
        "tells_refused": _("Somebody who is to be told may not read the log any more."),
    }
    return words.get(getattr(error, "code", ""), str(error))


def _facts(row: Schedule, labels: Labels) -> list[dict[str, Any]]:
    names = labels({row.owner, *row.tells})
    told = [names.get(ref, ref) for ref in row.tells]
    formats = [str(WORDS.get(name, name)) for name in row.formats]
    return [
        {"label": _("Made for"), "value": names.get(row.owner, row.owner), "sub": _("with what they may read at that time")},
        {"label": _("Search"), "value": row.query, "kind": "mono"} if row.query
        else {"label": _("Search"), "value": _("none"), "sub": _("every entry of the period, proven to be all")},
        {"label": _("How often"), "value": often(row)},
        {"label": _("Beside the evidence"), "value": ", ".join(formats) or _("nothing")},
        {"label": _("Told by mail"), "value": ", ".join(told) or _("nobody")},
    ]  # fmt: skip


def _may_act(request: HttpRequest, row: Schedule) -> bool:
    person: Any = request.user
    return row.owner == _ref(request) or bool(person.has_role("admin"))


def _row(request: HttpRequest, ref: str) -> Schedule:
    return queries.schedule(ref, ref=_ref(request), scope=scope_of(request.user))


def _ref(request: HttpRequest) -> str:
    return str(getattr(request.user, "ref", "unknown"))
