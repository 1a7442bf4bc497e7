"""Sweeps of this room. What is due stands in the tables; a lost message costs time only."""

from __future__ import annotations

from celery import shared_task

from aims.authorization.services import families, ping, pushing, registrations, requests, running_out
from aims.kit import clock


@shared_task(name="authorization.expire_requests")
def expire_requests() -> int:
    """Expire what nobody answered and approvals that nobody used in time."""
    return requests.expire_due(now=clock.now())


@shared_task(name="authorization.deliver_pings")
def deliver_pings() -> int:
    """Deliver the notifications that are due. Spec: CIBA Core 1.0 §10.2."""
    return ping.deliver_due(now=clock.now())


@shared_task(name="authorization.expire_registrations")
def expire_registrations() -> int:
    """Forget clients that registered themselves and that nobody admitted."""
    return registrations.expire_due(now=clock.now())


@shared_task(name="authorization.expire_grants")
def expire_grants() -> int:
    """Record the end of grants that ran out, and withdraw what waited on them."""
    return running_out.expire_due(now=clock.now())


@shared_task(name="authorization.warn_of_grants")
def warn_of_grants() -> int:
    """Tell of grants that end soon, each once."""
    return running_out.warn_due(now=clock.now())


@shared_task(name="authorization.drop_pushed")
def drop_pushed() -> int:
    """Forget pushed requests that nobody answered in time."""
    return pushing.drop_due(now=clock.now())


@shared_task(name="authorization.end_orphaned_families")
def end_orphaned_families() -> int:
    """End what people agreed to who were shut out since; it counts no more from that moment on."""
    return families.end_orphaned(now=clock.now())
