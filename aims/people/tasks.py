"""Sweeps of this room. They carry no arguments: what is due stands in the tables."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery import shared_task

from aims.kit import clock
from aims.people.models import Ceremony, Invitation
from aims.people.services import close_due_seats

KEEP_INVITATIONS = timedelta(days=30)


@shared_task(name="people.drop_spent")
def drop_spent() -> None:
    """Delete expired challenges, and links long past their use; the log keeps that they were."""
    drop_spent_before(clock.now())


@shared_task(name="people.close_seats")
def close_seats() -> None:
    """Tidy up after auditors' seats that are over. They closed by themselves: every page asks for the role."""
    close_due_seats(clock.now())


def drop_spent_before(now: datetime) -> None:
    """Delete what is spent at a moment."""
    Ceremony.objects.filter(expires_at__lte=now).delete()
    Invitation.objects.filter(expires_at__lte=now - KEEP_INVITATIONS).delete()
