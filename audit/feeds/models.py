"""Feeds: who gets the log as it grows, and how far each of them is."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q

KINDS = ("http", "syslog")
FORMATS = ("canonical", "ocsf", "cef")
STATES = ("active", "paused")


def new_ref() -> str:
    """Return a new reference of a feed."""
    return f"fed_{secrets.token_hex(10)}"


class Feed(models.Model):
    """One receiver. cursor: the last index that it acknowledged. trouble: why the last try failed, or empty.

    claim: the worker that delivers until ``claimed_until``. failures: tries in a row that failed. next_try_at: not before.
    test_due: a test message goes out with the next delivery, also while paused.
    """

    ref = models.CharField(max_length=24, unique=True, default=new_ref)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=[(kind, kind) for kind in KINDS])
    format = models.CharField(max_length=12, choices=[(name, name) for name in FORMATS])
    address = models.CharField(max_length=2048)
    state = models.CharField(max_length=8, default="active", choices=[(state, state) for state in STATES])
    created_by = models.CharField(max_length=2048)
    created_at = models.DateTimeField()
    cursor = models.BigIntegerField(default=-1)
    checkpoint_size = models.BigIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=40, blank=True)
    failures = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    claim = models.CharField(max_length=32, blank=True)
    claimed_until = models.DateTimeField(null=True)
    test_due = models.BooleanField(default=False)
    tested_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_feed"
        constraints = [models.CheckConstraint(condition=Q(state__in=STATES), name="audit_feed_state_known")]
