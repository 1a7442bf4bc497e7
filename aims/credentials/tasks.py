"""The sweeps over our signing keys, and over other domains' bundles."""

from __future__ import annotations

from celery import shared_task

from aims.credentials.services import refresh_bundles as refresh_due_bundles
from aims.credentials.services import rotate_due
from aims.kit import clock


@shared_task(name="credentials.rotate_keys")
def rotate_keys() -> int:
    """Take every step in the life of our signing keys that is due."""
    return rotate_due(clock.now())


@shared_task(name="credentials.refresh_bundles")
def refresh_bundles() -> int:
    """Fetch the trust bundles that are due."""
    return refresh_due_bundles(now=clock.now())
