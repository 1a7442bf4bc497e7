"""What is kept beside the log, how long, and what stands in the way of its end."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import F, Q

MONTHS_DEFAULT = 13  # PCI DSS 10.5.1: twelve, and the one that is not over
HOLD_KINDS = ("all", "person", "agent", "period")
BASES = ("request", "withdrawn", "purpose_over", "unlawful", "law")
ERASURE_STATES = ("begun", "done")
REFERENCE_MAX = 2048


def new_hold_ref() -> str:
    """Return a new reference of a hold."""
    return f"hold_{secrets.token_hex(10)}"


def new_erasure_ref() -> str:
    """Return a new reference of an erasure."""
    return f"era_{secrets.token_hex(10)}"


class Keeping(models.Model):
    """How long the log is kept, and from which entry on it is there. One row, locked by whoever keeps or ends anything.

    minimum: global index of the first entry that is kept; all below went by retention, their hashes stayed. It never
    falls, and triggers let nothing above it go. applied_at: when it was moved last. thinned_generation, thinned_size: the
    last checkpoint that was looked at by the thinning.
    """

    months = models.PositiveSmallIntegerField(default=MONTHS_DEFAULT)
    minimum = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField(null=True)
    thinned_generation = models.PositiveIntegerField(null=True)
    thinned_size = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="audit_keeping_is_one_row"),
            models.CheckConstraint(condition=Q(minimum__gte=0), name="audit_keeping_minimum_not_negative"),
        ]


class Gone(models.Model):
    """A month that went by retention: entries [first, end), and when. What a reader is told instead of an entry."""

    month = models.CharField(max_length=7, help_text="2026-11")
    first = models.BigIntegerField()
    end = models.BigIntegerField(unique=True)
    gone_at = models.DateTimeField()


class Hold(models.Model):
    """Why something must be kept: it blocks the erasure of a person and the retention of the months that it touches.

    kind: ``all``; ``person`` (a reference), ``agent`` (an identifier), ``period`` [since_at, until_at). reason: words,
    which stay here and never enter the log.
    """

    ref = models.CharField(max_length=40, unique=True, default=new_hold_ref)
    kind = models.CharField(max_length=8, choices=[(kind, kind) for kind in HOLD_KINDS])
    person = models.CharField(max_length=REFERENCE_MAX, blank=True)
    agent = models.CharField(max_length=REFERENCE_MAX, blank=True)
    since_at = models.DateTimeField(null=True)
    until_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=1_000)
    placed_by = models.CharField(max_length=REFERENCE_MAX)
    placed_at = models.DateTimeField()
    released_by = models.CharField(max_length=REFERENCE_MAX, blank=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=HOLD_KINDS), name="audit_hold_kind_known"),
            models.CheckConstraint(
                condition=Q(since_at=None) | Q(until_at=None) | Q(since_at__lt=F("until_at")),
                name="audit_hold_period_in_order",
            ),
        ]


class PersonalValue(models.Model):
    """A personal value of an entry, encrypted under its person's key. The entry itself holds the commitment.

    ciphertext: salt and value. blind: a keyed hash of the value, for exact search. Both go when the person is erased.
    """

    event_id = models.CharField(max_length=36)
    field = models.CharField(max_length=40)
    person = models.CharField(max_length=REFERENCE_MAX)
    commitment = models.CharField(max_length=46)
    ciphertext = models.BinaryField()
    blind = models.BinaryField(max_length=32)

    class Meta:
        db_table = "audit_personal"
        constraints = [models.UniqueConstraint(fields=["event_id", "field"], name="audit_personal_once")]
        indexes = [
            models.Index(fields=["person"], name="audit_personal_by_person"),
            models.Index(fields=["field", "blind"], name="audit_personal_by_blind"),
        ]


class Erasure(models.Model):
    """The erasure of a person. ``begun``: their values are gone; ``done``: their key is destroyed too, in backups as well.

    basis: GDPR Art. 17 (1), as an enum. key_hash: of the destroyed key's id, empty where they had none. is_again: after
    a restore brought the person back. first, end: span of the entries that held values; null where none did.
    """

    ref = models.CharField(max_length=40, unique=True, default=new_erasure_ref)
    person = models.CharField(max_length=REFERENCE_MAX)
    basis = models.CharField(max_length=16, choices=[(basis, basis) for basis in BASES])
    by = models.CharField(max_length=REFERENCE_MAX)
    state = models.CharField(max_length=8, choices=[(state, state) for state in ERASURE_STATES], default="begun")
    begun_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    values = models.PositiveIntegerField()
    first = models.BigIntegerField(null=True)
    end = models.BigIntegerField(null=True)
    key_hash = models.CharField(max_length=64, blank=True)
    is_again = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person"], name="audit_erased_once"),
            models.CheckConstraint(condition=Q(state__in=ERASURE_STATES), name="audit_erasure_state_known"),
        ]
