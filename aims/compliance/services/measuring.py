"""Measuring for the whole house, ahead of who asks: some questions are heavy on a long log."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import override

from aims.compliance.asked import PERIOD_DEFAULT, Asked, Period
from aims.compliance.models import Measurement
from aims.compliance.reporting import evidence_row, measure_all
from audit.read import EVERYTHING

LANGUAGE = "en"  # the kept sentences are English; who measures now gets their own


def measure_house(now: datetime) -> None:
    """Measure everything over PERIOD_DEFAULT and keep it. What is kept is a cache: it is nobody's change, and no entry."""
    period = Period.last(PERIOD_DEFAULT, now=now)
    with override(LANGUAGE):
        found = measure_all(Asked(period=period, scope=EVERYTHING, now=now))
    Measurement.objects.update_or_create(
        pk=1,
        defaults={
            "since_at": period.since_at,
            "until_at": period.until_at,
            "measured_at": now,
            "evidence": {name: evidence_row(each) for name, each in found.items()},
        },
    )
