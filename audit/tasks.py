"""Sweeps of this room. They carry no arguments: what is due stands in the tables."""

from __future__ import annotations

from celery import shared_task

from audit import partitions, tree


@shared_task(name="audit.close_months")
def close_months() -> None:
    """Close the months that are over, judged by the newest entry: a later one can't fall into them any more."""
    partitions.close(tree.moment())
