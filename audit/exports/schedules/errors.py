"""Why there is no such schedule. code: stable."""

from __future__ import annotations

from audit.errors import LogError


class ScheduleError(LogError):
    """Trouble with a schedule."""

    code = "schedule"


class NoSuchSchedule(ScheduleError):
    """There is no such schedule, or none that this reader may see."""

    code = "no_schedule"


class ScheduleMoved(ScheduleError):
    """It is in another state, or another version of it, by now."""

    code = "schedule_moved"


class TooManySchedules(ScheduleError):
    """There are as many schedules as there may be, of one owner or of all."""

    code = "too_many_schedules"


class ZoneRefused(ScheduleError):
    """No time zone has this name."""

    code = "zone_refused"


class TellsRefused(ScheduleError):
    """Somebody is to be told who may not read the log."""

    code = "tells_refused"
