"""Versioned policy. A version never changes; activating is a row of its own."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class PolicyVersion(models.Model):
    """One loaded version of the Cedar policy set."""

    number = models.PositiveIntegerField(unique=True)
    name = models.CharField(max_length=80, default="default")
    text = models.TextField()
    hash = models.CharField(max_length=60, unique=True, help_text="sha-256:… over the text's UTF-8 bytes")
    loaded_by = models.CharField(max_length=120)
    loaded_at = models.DateTimeField()
    is_active = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_active"],
                condition=Q(is_active=True),
                name="policy_one_active",
            )
        ]
