"""Schedules in the hands of the cast: set by Ben, swept at any moment, told by real mails into Django's outbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aims.console.reporting import READERS
from audit import read
from audit.access import EVERYTHING
from audit.exports import services as exports
from audit.exports.schedules import services
from audit.exports.schedules.due import Rhythm
from audit.exports.schedules.models import Schedule
from audit.exports.schedules.running import sweep
from audit.exports.schedules.services import Asked
from audit.sequencer import Sequencer

NOW = datetime.now(UTC)
ZONE = f"Etc/GMT{NOW.hour - 12:+d}"  # where it is noon, so that no test meets midnight
TODAY = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=12)
DUE = TODAY + timedelta(days=1, minutes=10)  # when the report of today is


def asked(**other: Any) -> Asked:
    rhythm = {"every": "day", "weekday": None, "zone": ZONE} | {
        name: other.pop(name) for name in ("every", "weekday", "zone") if name in other
    }
    told: dict[str, Any] = {"name": "Denials", "query": "", "formats": (), "tells": ()}
    return Asked(rhythm=Rhythm(**rhythm), **(told | other))


def scheduled(owner: str, *, at: datetime = NOW, **other: Any) -> Schedule:
    return services.set_up(asked(**other), owner=owner, by=owner, readers=READERS, now=at)


def swept(at: datetime) -> int:
    return sweep(READERS, now=lambda: at)


def made(at: datetime) -> None:
    """Let a worker make what was asked, and the sweep see it."""
    exports.run_due(now=at)
    swept(at)


def entries(sequencer: Sequencer, prefix: str = "audit.schedule.") -> list[Any]:
    sequencer.run_once()
    return [each for each in read.after(-1, scope=EVERYTHING) if each.type.startswith(prefix)]
