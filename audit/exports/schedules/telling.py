"""The letter about a run: what happened and where to look. It never holds anything of the log, nor what is searched for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from audit.exports.schedules.models import ScheduleRun
from audit.exports.schedules.readers import Letter

_SECOND = timedelta(seconds=1)


def letter(run: ScheduleRun, address: str) -> Callable[[], Letter]:
    """Return what writes the letter, in the language of whoever it is called for. address: of the console."""

    def write() -> Letter:
        subjects = {
            "ready": _("Report ready: %(name)s"),
            "nothing": _("Report empty: %(name)s"),
            "failed": _("Report failed: %(name)s"),
            "stopped": _("Report stopped: %(name)s"),
        }
        texts = {
            "ready": _("The report of %(period)s is ready. It is kept for a week; you must be signed in to take it."),
            "nothing": _("Nothing was recorded in %(period)s, so there is no report."),
            "failed": _("There is no report of %(period)s: it could not be made (%(code)s)."),
            "stopped": _("There are no more reports: whoever it was made for may not read the log any more, or its time zone is gone."),
        }  # fmt: skip
        said = {"name": " ".join(run.schedule.name.split()), "period": days_of(run), "code": run.code}
        path = f"exports/{run.export}/" if run.outcome == "ready" else f"exports/schedules/{run.schedule.ref}/"
        return subjects[run.outcome] % said, f"{texts[run.outcome] % said}\n\n{address}/audit/{path}"

    return write


def days_of(run: ScheduleRun) -> str:
    """Return the days that a run is about, in the zone of its schedule, with that zone: ``1 Nov 2026 to 30 Nov 2026 (UTC)``."""
    first, last = _day(run.since_at, run.schedule.zone), _day(run.until_at - _SECOND, run.schedule.zone)
    days = first if first == last else _("%(first)s to %(last)s") % {"first": first, "last": last}
    return f"{days} ({run.schedule.zone})"


def _day(at: datetime, zone: str) -> str:
    try:
        day = at.astimezone(ZoneInfo(zone)).date()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        day = at.date()
    return date_format(day, "j M Y")
