"""Exports: what was asked for, how far it is, what came of it."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q

STATES = ("queued", "running", "ready", "failed", "cancelled", "expired")
KINDS = ("range", "filter", "pack")


def new_ref() -> str:
    """Return a new reference of an export."""
    return f"exp_{secrets.token_hex(10)}"


class Export(models.Model):
    """One job. Its question may hold names, so it stands here and never in the log; it goes with the row.

    sets: what to take, ``{name, query, first, end, chosen}`` each; end null: all there is. about: of an evidence pack, its
    subject and by whose rights it is told. snapshot: the log's size under a
    checkpoint when the job began, so that a job that begins again finds the same. claim: the worker that has it until
    ``claimed_until``. percent: how far.
    """

    ref = models.CharField(max_length=24, unique=True, default=new_ref)
    kind = models.CharField(max_length=8, choices=[(kind, kind) for kind in KINDS])
    title = models.CharField(max_length=200)
    sets = models.JSONField()
    about = models.JSONField(null=True)
    scope = models.JSONField(null=True, help_text="what the one who asked could read then; null: everything")
    formats = models.JSONField()
    asked_by = models.CharField(max_length=2048)
    asked_at = models.DateTimeField()
    state = models.CharField(max_length=10, default="queued", choices=[(state, state) for state in STATES])
    claim = models.CharField(max_length=32, blank=True)
    claimed_until = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    snapshot = models.BigIntegerField(null=True)
    percent = models.PositiveSmallIntegerField(default=0)
    rows = models.BigIntegerField(null=True)
    size_bytes = models.BigIntegerField(null=True)
    bundle_hash = models.CharField(max_length=64, blank=True)
    manifest = models.JSONField(null=True)
    failure = models.CharField(max_length=40, blank=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_export"
        constraints = [
            models.CheckConstraint(condition=Q(state__in=STATES), name="audit_export_state_known"),
            models.CheckConstraint(condition=~Q(state="ready") | ~Q(bundle_hash=""), name="audit_export_ready_hashed"),
        ]
        indexes = [models.Index(fields=["state", "asked_at"], name="audit_export_by_state")]

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("queued", "running")
