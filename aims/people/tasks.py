"""Sweeps of this room. They carry no arguments: what is due stands in the tables."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery import shared_task

from aims.kit import clock
from aims.people.models import Ceremony, Invitation

KEEP_INVITATIONS = timedelta(days=30)


@shared_task(name="people.drop_spent")
def drop_spent() -> None:
    """Delete expired challenges, and links long past their use; the log keeps that they were."""
    drop_spent_before(clock.now())


def drop_spent_before(now: datetime) -> None:
    """Delete what is spent at a moment."""
    Ceremony.objects.filter(expires_at__lte=now).delete()
    Invitation.objects.filter(expires_at__lte=now - KEEP_INVITATIONS).delete()
