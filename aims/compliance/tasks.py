"""Sweeps of this room. They carry no arguments: what is due stands in the tables."""

from __future__ import annotations

from celery import shared_task

from aims.compliance.services import consents, keeping, measuring
from aims.kit import clock


@shared_task(name="compliance.expire_consents")
def expire_consents() -> None:
    """End what nobody confirmed or used in time. It ended by itself: the verbs ask for the time."""
    consents.expire_due(clock.now())


@shared_task(name="compliance.finish_erasures")
def finish_erasures() -> None:
    """Finish what was begun, and erase again whom a restored database has brought back."""
    keeping.sweep(clock.now())


@shared_task(name="compliance.measure")
def measure() -> None:
    """Measure the house; pages say when it was done."""
    measuring.measure_house(clock.now())
