"""Jobs: a few sweeps that look for due rows. What is due stands in our tables; a lost broker loses time only."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")

app = Celery("aims")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.broker_connection_max_retries = None  # the default gives up after a hundred tries and ends the worker

DELIVER_PINGS = "authorization.deliver_pings"

SWEEPS = {
    "authorization.expire_requests": timedelta(seconds=5),
    "authorization.expire_grants": timedelta(seconds=5),
    "authorization.warn_of_grants": timedelta(minutes=1),
    "authorization.drop_pushed": timedelta(minutes=1),
    "authorization.end_orphaned_families": timedelta(seconds=5),
    DELIVER_PINGS: timedelta(seconds=5),
    "credentials.rotate_keys": timedelta(minutes=1),
    "credentials.refresh_bundles": timedelta(minutes=1),
    "authentication.drop_spent": timedelta(minutes=1),
    "people.drop_spent": timedelta(minutes=10),
    "observability.forget": timedelta(minutes=10),
    "observability.follow": timedelta(seconds=5),
    "people.close_seats": timedelta(minutes=1),
    "compliance.finish_erasures": timedelta(minutes=1),
    "compliance.expire_consents": timedelta(minutes=1),
    "compliance.measure": timedelta(hours=1),
    "audit.close_months": timedelta(hours=1),
    "audit.fold_counts": timedelta(hours=1),
    "audit.apply_retention": timedelta(hours=1),
    "audit.thin_checkpoints": timedelta(hours=1),
    "audit.index_words": timedelta(hours=1),
    "audit.add_up_counts": timedelta(hours=1),
    "audit.run_exports": timedelta(seconds=5),
    "audit.run_schedules": timedelta(seconds=30),
    "audit.deliver_feeds": timedelta(seconds=2),
    "audit.expire_exports": timedelta(minutes=10),
    "authorization.expire_registrations": timedelta(hours=1),
}
# Due when beat starts, or a beat that is often restarted would never send the rare ones.
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# A sweep that waited behind a stopped worker is not owed: the next one finds the same rows.
app.conf.beat_schedule = {
    name: {
        "task": name,
        "schedule": every,
        "last_run_at": _LONG_AGO,
        "options": {"expires": max(every.total_seconds() * 2, 10)},
    }
    for name, every in SWEEPS.items()
}
