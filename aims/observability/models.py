"""What this room remembers besides the log: which events it took, and which trace is whose."""

from __future__ import annotations

from django.db import models


class TakenEvent(models.Model):
    """An event that was taken, so that it is an entry once. Forgotten when its signature is too old to come again.

    report_hash: of the signed bytes; the same bytes may come again, others under this jti may not.
    """

    reporter_ref = models.CharField(max_length=40)
    jti_hash = models.CharField(max_length=64)
    report_hash = models.CharField(max_length=60)
    event_id = models.CharField(max_length=36)
    taken_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reporter_ref", "jti_hash"], name="observability_event_taken_once")
        ]


class TransactionTrace(models.Model):
    """The transaction in which a trace was first reported. A caller chose the trace id; the transaction is ours."""

    trace_id = models.CharField(max_length=32, unique=True)
    txn = models.CharField(max_length=40, db_index=True)
    seen_at = models.DateTimeField(db_index=True)


class TransactionCount(models.Model):
    """How many events were taken about a transaction. Moved by conditional update only."""

    txn = models.CharField(max_length=40, unique=True)
    count = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField(db_index=True)
