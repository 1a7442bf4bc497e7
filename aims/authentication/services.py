"""Housekeeping of the replay memory."""

from __future__ import annotations

from datetime import datetime

from aims.authentication.models import SpentProof


def drop_spent(*, now: datetime) -> int:
    """Forget proofs that could not be accepted any more anyway; return how many. ``expires_at`` includes the skew."""
    dropped, _ = SpentProof.objects.filter(expires_at__lt=now).delete()
    return dropped
