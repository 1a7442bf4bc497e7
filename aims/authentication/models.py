"""Replay memory: what was used once."""

from __future__ import annotations

from django.db import models


class SpentProof(models.Model):
    """A ``jti`` that a client has used. Inserted in the request's one write transaction; the insert is the check."""

    client_ref = models.CharField(max_length=40)
    jti_hash = models.CharField(max_length=64)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client_ref", "jti_hash"], name="authentication_jti_once")]
