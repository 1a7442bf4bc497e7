"""Celery's face of the replay memory."""

from __future__ import annotations

from celery import shared_task

from aims.authentication import services
from aims.kit import clock


@shared_task(name="authentication.drop_spent")
def drop_spent() -> int:
    """Forget spent proofs that have expired."""
    return services.drop_spent(now=clock.now())
