"""Sweeps of this room. They carry no arguments: what is due stands in the tables."""

from __future__ import annotations

from celery import shared_task

from aims.kit import clock
from aims.observability import detecting, services


@shared_task(name="observability.forget")
def forget() -> None:
    """Drop what can't come again; the log keeps that it came."""
    services.forget(now=clock.now())


@shared_task(name="observability.follow")
def follow() -> None:
    """Let the rules read on in the log."""
    detecting.follow(now=clock.now())
