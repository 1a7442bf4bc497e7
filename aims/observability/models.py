"""What this room remembers besides the log: which events it took, and which trace is whose."""

from __future__ import annotations

from functools import partial

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from aims.kit.ids import new_ref

REFERENCE_MAX = 2048


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


class RuleProgress(models.Model):
    """How far one version of a rule has read, and what it remembers. The row is locked while it reads on.

    index: of the last entry that it has seen, -1 before the first. state: JSON text, whose order is kept. ran_at: when it last
    got past one.
    """

    rule = models.CharField(max_length=40)
    version = models.PositiveIntegerField()
    index = models.BigIntegerField(default=-1)
    state = models.TextField(default="{}")
    hits = models.PositiveBigIntegerField(default=0)
    ran_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "version"], name="observability_one_progress_a_rule")]


class FindingState(models.TextChoices):
    OPEN = "open", _("Open")
    ACKNOWLEDGED = "acknowledged", _("Looked at")
    CLOSED = "closed", _("Closed")


class CloseReason(models.TextChoices):
    """Why a finding was closed: an enum, since no free text enters the log."""

    MENDED = "mended", _("Mended: what caused it was ended")
    EXPECTED = "expected", _("Expected: this is how it is meant to be")
    MISTAKEN = "mistaken", _("Mistaken: the rule saw what was not there")
    ELSEWHERE = "elsewhere", _("Followed elsewhere")


class Finding(models.Model):
    """What a rule found. Its state moves only in ``detecting``.

    key: what it is about; one finding about it is open at a time. evidence: indexes of entries, the first and the newest.
    opened_at: as recorded of the entry that showed it.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "fnd"), editable=False)
    rule = models.CharField(max_length=40)
    version = models.PositiveIntegerField()
    severity = models.CharField(max_length=8)
    key = models.CharField(max_length=64, help_text="SHA-256 of what it is about")
    agent = models.CharField(max_length=REFERENCE_MAX, null=True)
    person = models.CharField(max_length=40, null=True)
    resource = models.CharField(max_length=REFERENCE_MAX, null=True)
    txn = models.CharField(max_length=40, null=True)
    grant = models.CharField(max_length=40, null=True)
    first_index = models.BigIntegerField()
    last_index = models.BigIntegerField()
    evidence = models.JSONField(default=list)
    count = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=FindingState, default=FindingState.OPEN)
    reason = models.CharField(max_length=16, choices=CloseReason, blank=True)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    moved_by = models.CharField(max_length=120, blank=True)
    moved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "version", "key"], condition=~Q(state="closed"), name="observability_one_open_finding"
            ),
            models.CheckConstraint(
                condition=Q(state__in=FindingState.values), name="observability_finding_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="closed", reason__in=CloseReason.values) | ~Q(state="closed") & Q(reason=""),
                name="observability_closed_with_a_reason",
            ),
        ]
        indexes = [models.Index(fields=["state", "-last_index"], name="observability_finding_list")]
