"""Sweeps of this room. They carry no arguments: what is due stands in the tables."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import shared_task

from audit import partitions, rollups, thinning, tree
from audit.exports import services as exports
from audit.keeping import retention
from audit.search import indexes, periods


@shared_task(name="audit.close_months")
def close_months() -> None:
    """Close the months that are over, judged by the newest entry: a later one can't fall into them any more."""
    partitions.close(tree.moment())


@shared_task(name="audit.fold_counts")
def fold_counts() -> None:
    """Fold the counts of hours that are long past into days. Whoever numbers entries adds to the newest hour only."""
    rollups.fold(tree.moment() - rollups.HOURS_KEPT)


@shared_task(name="audit.apply_retention")
def apply_retention() -> None:
    """Let the oldest month of the log go, if it is older than the policy and nothing stands in its way."""
    retention.apply(datetime.now(UTC))


@shared_task(name="audit.thin_checkpoints")
def thin_checkpoints() -> None:
    """Let the checkpoints go that others of their hour stand for, once a day is a week old."""
    thinning.thin()


@shared_task(name="audit.index_words")
def index_words() -> None:
    """Give the months that were closed the index of their words."""
    indexes.catch_up()


@shared_task(name="audit.add_up_counts")
def add_up_counts() -> None:
    """Add up the counts of days and months that are over, so that a search of a year reads few of them."""
    periods.catch_up(tree.moment())


@shared_task(name="audit.run_exports")
def run_exports() -> None:
    """Make one export that is due; the next one is found by the next tick, in this worker or another."""
    exports.run_due(now=datetime.now(UTC))


@shared_task(name="audit.expire_exports")
def expire_exports() -> None:
    """Delete the bundles whose time is up, and what crashes left behind."""
    exports.expire(now=datetime.now(UTC))
