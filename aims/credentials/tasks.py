"""The sweep over our signing keys."""

from __future__ import annotations

from celery import shared_task

from aims.credentials.services import rotate_due
from aims.kit import clock


@shared_task(name="credentials.rotate_keys")
def rotate_keys() -> int:
    """Take every step in the life of our signing keys that is due."""
    return rotate_due(clock.now())
